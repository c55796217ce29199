"""Objects that no rule of the format forbids, but that are seldom meant."""

import numpy as np

from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.doctor.finding import Finding, listing


def odd_objects(packed: PackedAnnotations, split: str) -> list[Finding]:
    """Find objects that are listed twice, are thinner than a pixel, or have keypoints outside their image."""
    image = np.repeat(np.arange(len(packed)), np.diff(packed.first))
    return _repeated(packed, image, split) + _thin(packed, split) + _outside(packed, image, split)


def _repeated(packed: PackedAnnotations, image: np.ndarray, split: str) -> list[Finding]:
    rows = np.column_stack([image, packed.labels, packed.boxes.astype(np.float64)])
    _, first, count = np.unique(rows, axis=0, return_index=True, return_counts=True)
    twice = [str(packed.ids[row]) for row in sorted(first[count > 1])]
    if not twice:
        return []
    message = (
        f"objects that are listed more than once, with the same image, category and box: {len(twice)} "
        f"(annotations {listing(twice)}); keep one of each."
    )
    return [Finding("doubt", "objects", split, message)]


def _thin(packed: PackedAnnotations, split: str) -> list[Finding]:
    sides = packed.boxes[:, 2:] - packed.boxes[:, :2]
    thin = [str(i) for i in packed.ids[(sides < 1).any(1)]]
    if not thin:
        return []
    message = (
        f"boxes thinner than a pixel: {len(thin)} (annotations {listing(thin)}); are they in pixels, not in "
        "shares of the image?"
    )
    return [Finding("doubt", "objects", split, message)]


def _outside(packed: PackedAnnotations, image: np.ndarray, split: str) -> list[Finding]:
    posed = np.flatnonzero(packed.keypoint_rows >= 0)
    points = packed.keypoints[packed.keypoint_rows[posed]]
    size = packed.sizes[image[posed]][:, None, ::-1]
    beyond = ((points[..., :2] < 0) | (points[..., :2] > size)).any(-1) & (points[..., 2] > 0)
    bad = [str(i) for i in packed.ids[posed[beyond.any(1)]]]
    if not bad:
        return []
    message = (
        f"labelled keypoints outside of their image: {int(beyond.sum())} (annotations {listing(bad)}); "
        "training counts them as not labelled."
    )
    return [Finding("doubt", "objects", split, message)]
