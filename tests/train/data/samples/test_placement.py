"""Where images land: pixels, masks and points under one map."""

import numpy as np
import pytest
import torch

from mtvit_core.structures.framing import Inside, Letterbox, OwnSize, ShortSide, Stretch
from mtvit_core.structures.masks import encode_rle
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig, draw_placement
from mtvit_train.data.samples.placement import Placement
from support.training import shapes_data

SQUARE = Letterbox(32, 32)
WIDE = AugmentConfig(scale=(0.3, 2.5))


def random_placement(rng):
    size = tuple(int(side) for side in rng.integers(8, 70, 2))
    canvas = Letterbox(*(int(side) for side in rng.integers(16, 70, 2)))
    return draw_placement(rng, WIDE, size, canvas, may_flip=True)


@pytest.mark.parametrize("seed", range(40))
def test_the_window_lies_in_the_resized_image_and_fits_the_canvas(seed):
    placement = random_placement(np.random.default_rng(seed))
    rows, columns = placement.content
    assert 1 <= rows <= placement.canvas[0]
    assert 1 <= columns <= placement.canvas[1]
    assert placement.top + rows <= placement.resized[0]
    assert placement.left + columns <= placement.resized[1]


@pytest.mark.parametrize("seed", range(40))
def test_the_way_back_undoes_the_way_there(seed):
    rng = np.random.default_rng(seed)
    placement = random_placement(rng)
    points = torch.from_numpy(rng.uniform(-5, 75, (20, 2)))
    back = placement.meta(1, "a").points_to_original(placement.points(points))
    assert torch.allclose(back, points, atol=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_an_image_and_its_mask_stay_together(seed):
    rng = np.random.default_rng(seed)
    placement = random_placement(rng)
    mask = shapes_data.blob(rng, *placement.original)
    image = torch.from_numpy(mask.astype(np.uint8) * 255).expand(3, -1, -1)
    canvas = placement.pad(placement.window(image))[0].numpy()
    placed = np.zeros(placement.canvas, bool)
    placement.mask(encode_rle(mask), placed)
    # Bilinear and nearest resizing may differ where the outline crosses a pixel, nowhere else.
    assert (placed != (canvas >= 128)).sum() <= 0.5 * outline(canvas)


def outline(canvas):
    """Number of pixels at an edge between dark and bright, on either side of it."""
    bright = np.pad(canvas >= 128, 1, mode="edge")
    centre = bright[1:-1, 1:-1]
    sides = (bright[:-2, 1:-1], bright[2:, 1:-1], bright[1:-1, :-2], bright[1:-1, 2:])
    return np.any([side != centre for side in sides], axis=0).sum()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_whole_factors_move_every_pixel_of_image_and_mask_alike(flip, factor):
    rng = np.random.default_rng(factor)
    mask = rng.random((7, 9)) < 0.5
    placement = Placement((7, 9), (7 * factor, 9 * factor), (16, 24), 2, 1, flip)
    placed = np.zeros(placement.canvas, bool)
    placement.mask(encode_rle(mask), placed)
    large = mask.repeat(factor, 0).repeat(factor, 1)[2 : 2 + 16, 1 : 1 + 24]
    large = large[:, ::-1] if flip else large
    assert np.array_equal(placed[: large.shape[0], : large.shape[1]], large)
    assert placed.sum() == large.sum()
    for y, x in np.argwhere(mask):
        moved = placement.points(torch.tensor([[x + 0.5, y + 0.5]]))[0]
        column, row = (int(v) for v in moved.floor())
        if 0 <= row < placement.content[0] and 0 <= column < placement.content[1]:
            assert placed[row, column]


def test_a_smaller_mask_takes_the_pixel_under_each_centre():
    mask = np.random.default_rng(0).random((9, 15)) < 0.5
    placed = np.zeros((3, 5), bool)
    Placement((9, 15), (3, 5), (3, 5)).mask(encode_rle(mask), placed)
    assert np.array_equal(placed, mask[1::3, 1::3])


def test_a_letterboxed_image_is_what_prediction_gives_the_model():
    image = torch.randint(0, 256, (3, 37, 61), dtype=torch.uint8)
    canvas = Letterbox(48, 32)
    placement = Placement.letterbox(37, 61, canvas)
    assert torch.equal(placement.pad(placement.window(image)), canvas.apply(image))
    assert placement.meta(5, "a.png") == canvas.meta(37, 61, 5, "a.png")


def test_padding_is_black_and_at_the_right_and_the_bottom():
    placement = Placement((4, 4), (8, 8), (10, 12))
    canvas = placement.pad(placement.window(torch.full((3, 4, 4), 255, dtype=torch.uint8)))
    assert canvas.shape == (3, 10, 12)
    assert (canvas[:, :8, :8] == 255).all()
    assert canvas.sum() == 3 * 64 * 255


def test_boxes_keep_their_corners_in_order_when_mirrored():
    placement = Placement((10, 20), (20, 40), (20, 40), flip=True)
    assert placement.boxes(torch.tensor([[1.0, 2.0, 5.0, 8.0]])).tolist() == [[30, 4, 38, 16]]


def test_an_image_of_one_pixel_can_be_placed():
    placement = Placement.letterbox(1, 1, Letterbox(8, 16))
    canvas = placement.pad(placement.window(torch.full((3, 1, 1), 9, dtype=torch.uint8)))
    assert (canvas[:, :, :8] == 9).all()
    assert (canvas[:, :, 8:] == 0).all()


def draws(config, count=400, size=(30, 40), canvas=SQUARE, may_flip=True):
    rng = np.random.default_rng(0)
    return [draw_placement(rng, config, size, canvas, may_flip) for _ in range(count)]


def test_without_augmentation_every_image_is_letterboxed():
    assert set(draws(NO_AUGMENT)) == {Placement.letterbox(30, 40, SQUARE)}


def test_neutral_settings_are_the_letterbox_too():
    assert set(draws(AugmentConfig(hflip=0, scale=(1, 1)))) == {Placement.letterbox(30, 40, SQUARE)}


def test_scales_and_windows_use_their_whole_range():
    placements = draws(AugmentConfig(scale=(0.5, 2)))
    columns = [placement.resized[1] for placement in placements]
    assert (min(columns), max(columns)) == (16, 64)
    large = [p for p in placements if p.resized[1] >= 60]
    assert {p.content for p in large} == {(32, 32)}
    assert min(p.left for p in large) == 0
    assert max(p.left - (p.resized[1] - 32) for p in large) >= -3
    assert all(p.left == p.top == 0 for p in placements if p.resized[1] <= 32)


def test_windows_reach_both_ends():
    placements = draws(AugmentConfig(scale=(1.03, 1.03)), size=(32, 32))
    assert {(p.top, p.left) for p in placements} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(("probability", "low", "high"), [(0, 0, 0), (0.5, 160, 240), (1, 400, 400)])
def test_images_are_mirrored_as_often_as_asked(probability, low, high):
    assert low <= sum(p.flip for p in draws(AugmentConfig(hflip=probability))) <= high


def test_images_that_must_not_be_mirrored_are_not():
    assert not any(p.flip for p in draws(AugmentConfig(hflip=1), may_flip=False))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (0.01, 1)}, "scale is 0.01, 1.0; give a smallest and a largest factor from 0.05 to 10"),
        ({"scale": (2, 1)}, "scale is 2.0, 1.0; give a smallest and a largest factor from 0.05 to 10"),
        ({"hflip": 1.5}, "less than or equal to 1"),
        ({"hue": 0.6}, "less than or equal to 0.5"),
        ({"brightness": -0.1}, "greater than or equal to 0"),
        ({"rotation": 3}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**settings)


@pytest.mark.parametrize(
    "framing",
    [
        Inside(60, 50, 16),
        Stretch(50, 70, 16, "bicubic"),
        OwnSize(16),
        ShortSide(33, 80, 16),
        Letterbox(64, 48, "nearest"),
    ],
)
def test_an_image_lands_where_prediction_puts_it(framing):
    image = torch.randint(0, 256, (3, 45, 71), dtype=torch.uint8)
    placement = Placement.letterbox(45, 71, framing)
    assert torch.equal(placement.pad(placement.window(image)), framing.apply(image))
    assert placement.meta(3, "a") == framing.meta(45, 71, 3, "a")
