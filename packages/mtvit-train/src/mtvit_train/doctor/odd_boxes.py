"""Boxes and areas that do not fit their masks or their images."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from mtvit_core.structures.masks import decode_rle
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.doctor.finding import Finding, listing

#: A box and the tight box of its mask overlap at least so much (IoU) where both are of one object.
LEAST_OVERLAP = 0.5
#: A box that reaches over the border by more than this share of the image was not drawn on it.
MOST_BEYOND = 0.1
#: Area and pixels of the mask (else of the box) differ by less than this factor.
MOST_AREA_RATIO = 4.0
#: Differences of so few pixels are those of rounding.
_FEW_PIXELS = 16


def odd_boxes(packed: PackedAnnotations, split: str) -> list[Finding]:
    """Find boxes that do not fit their masks, reach far out of their images, or whose area is far off."""
    image = np.repeat(np.arange(len(packed)), np.diff(packed.first))
    tight, pixels = _of_masks(packed, image)
    boxes, single = packed.boxes.astype(np.float64), ~packed.crowd
    apart = single & (pixels > _FEW_PIXELS) & (_overlap(boxes, tight) < LEAST_OVERLAP)
    size = packed.sizes[image][:, ::-1].astype(np.float64)
    beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - size) > MOST_BEYOND * size
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    expected = np.where(pixels > 0, pixels, whole)
    ratio = np.maximum(packed.areas, 1e-9) / np.maximum(expected, 1e-9)
    high, low = ratio > MOST_AREA_RATIO, (pixels > 0) & (ratio < 1 / MOST_AREA_RATIO)
    far = single & (high | low) & (np.abs(packed.areas - expected) > _FEW_PIXELS)
    ask = "are they x, y, width, height, and in pixels?"
    found = (
        (apart, "boxes that do not fit their masks", ask),
        (beyond.any(1), "boxes that reach far over the border of their image", ask),
        (far, "areas that are far from that of the mask or the box", "scores of poses divide by it."),
    )
    return [
        Finding("doubt", "boxes", split, f"{what}: {bad.sum()} (annotations {_ids(packed, bad)}); {then}")
        for bad, what, then in found
        if bad.any()
    ]


def _ids(packed: PackedAnnotations, bad: Any) -> str:
    return listing([str(number) for number in packed.ids[bad]])


def _of_masks(
    packed: PackedAnnotations, image: ndarray
) -> tuple[Float64[ndarray, "M 4"], Float64[ndarray, " M"]]:
    """Return the tight boxes and the pixels of all masks; zeros where there is none."""
    tight, pixels = np.zeros((packed.instances, 4)), np.zeros(packed.instances)
    for row, index in enumerate(image.tolist()):
        rle = packed.rle(row, index)
        if rle is not None:
            mask = decode_rle(rle)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            tight[row] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            pixels[row] = mask.sum()
    return tight, pixels


def _overlap(one: Float64[ndarray, "M 4"], other: Float64[ndarray, "M 4"]) -> Float64[ndarray, " M"]:
    """Return the IoU of boxes, row by row."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(one[:, 2:] - one[:, :2], axis=1) + np.prod(other[:, 2:] - other[:, :2], axis=1)
    iou: ndarray = both / np.maximum(areas - both, 1e-9)
    return iou
