"""Outlines of masks, rasterised by COCO's rule, are the masks again."""

import numpy as np
import pytest

from mtvit_core.structures.masks import decode_rle, polygons_to_rle
from mtvit_train.conversion.outlines import outlines_of


def blob(seed: int) -> np.ndarray:
    """A mask of a few overlapping discs without holes."""
    rows, columns = np.mgrid[:40, :50]
    rng = np.random.default_rng(seed)
    discs = [
        (rows - rng.uniform(5, 35)) ** 2 + (columns - rng.uniform(5, 45)) ** 2 < rng.uniform(9, 60)
        for _ in range(3)
    ]
    return np.logical_or.reduce(discs)


@pytest.mark.parametrize("seed", range(8))
def test_an_outline_is_the_mask_again(seed: int) -> None:
    mask = blob(seed)
    again = decode_rle(polygons_to_rle(outlines_of(mask), *mask.shape))
    assert (mask & again).sum() / (mask | again).sum() > 0.97


def test_a_rectangle_has_four_corners_in_pixels_of_the_image() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    (outline,) = outlines_of(mask)
    assert sorted(zip(outline[::2], outline[1::2], strict=True)) == [(3, 2), (3, 5), (8, 2), (8, 5)]


def test_parts_are_apart_and_holes_are_left_out() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0:2, 0:2] = mask[2:4, 2:4] = True  # they touch at a corner
    mask[5:8, 5:8] = True
    mask[6, 6] = False
    assert len(outlines_of(mask)) == 3


def test_nothing_has_no_outline() -> None:
    assert outlines_of(np.zeros((4, 4), bool)) == []
