"""Maps as pictures: who gets which colour, and where outlines are."""

import numpy as np
import torch

from mtvit_core.drawing.palette import class_colour
from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.pixel_maps import VOID, CategoryMap, DenseMap, Segment

CATEGORIES = Categories((Category(7, "cat"), Category(3, "road")))


def test_one_channel_is_grey_between_its_extremes_and_dark_where_unknown() -> None:
    values = DenseMap(torch.tensor([[[2.0, 4.0, torch.nan, 6.0]]]), ("depth",))
    pixels = np.asarray(draw_map(values))
    assert pixels[0, :, 0].tolist() == [0, 127, 24, 255]


def test_a_constant_map_is_drawn() -> None:
    assert np.asarray(draw_map(DenseMap(torch.ones(1, 2, 2), ("depth",)))).max() == 0


def test_three_channels_are_a_colour() -> None:
    values = DenseMap(torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1), ("x", "y", "z"))
    assert np.asarray(draw_map(values))[0, 0].tolist() == [0, 127, 255]


def test_categories_have_their_colour_and_an_edge() -> None:
    labels = torch.tensor([[0, 0, 1, 1, VOID, VOID]])
    pixels = np.asarray(draw_map(CategoryMap.semantic(labels, CATEGORIES)))
    assert tuple(pixels[0, 0]) == class_colour(0)
    assert tuple(pixels[0, 2]) == class_colour(1)
    assert [tuple(pixels[0, column]) == (255, 255, 255) for column in range(6)] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


def test_segments_of_one_category_are_told_apart_and_the_image_shines_through() -> None:
    segments = [Segment(1, 0, 0.9, 2, is_stuff=False), Segment(2, 0, 0.8, 2, is_stuff=False)]
    values = CategoryMap.panoptic(torch.tensor([[1, 1, 2, 2]]), segments, CATEGORIES)
    plain = np.asarray(draw_map(values))
    assert plain[0, 1].tolist() == [255] * 3
    light = np.asarray(draw_map(values, torch.full((3, 1, 4), 255, dtype=torch.uint8)))
    assert (light[0, 0] >= plain[0, 0]).all()
    assert not np.array_equal(light[0, 0], plain[0, 0])
