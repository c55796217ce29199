"""Examples and results seen in a mirror: left becomes right, and a left hand a right one.

``across`` is where column 0 goes: the width for whole images, whose coordinates are continuous, and the width
less one for person crops, which count in pixel centres.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.annotations import Annotations, swap_sides
from mtvit_core.categories import Categories
from mtvit_core.instances import Instances


def mirror_annotations(annotations: Annotations, categories: Categories, across: float) -> Annotations:
    """Return the annotations of the mirrored image."""
    masks, keypoints = annotations.masks, annotations.keypoints
    if keypoints is not None:
        known = keypoints[..., 2:] > 0
        keypoints = swap_sides(mirror_points(keypoints, across) * known, annotations.labels, categories)
    return replace(
        annotations,
        boxes=mirror_boxes(annotations.boxes, across),
        masks=None if masks is None else masks.flip(-1),
        keypoints=keypoints,
    )


def mirror_boxes(boxes: Float[Tensor, "M 4"], across: float) -> Float[Tensor, "M 4"]:
    """Return corners x0 y0 x1 y1 of the mirrored boxes."""
    x0, y0, x1, y1 = boxes.unbind(1)
    return torch.stack([across - x1, y0, across - x0, y1], 1)


def mirror_points(points: Float[Tensor, "M K 3"], across: float) -> Float[Tensor, "M K 3"]:
    """Return the mirrored places; the third number stays."""
    return torch.cat([across - points[..., :1], points[..., 1:]], -1)


def mirror_keypoints(found: Instances, across: float) -> Float[Tensor, "M K 3"]:
    """Return the keypoints of a result as they are in the mirrored image, left and right swapped."""
    return swap_sides(mirror_points(found.keypoints, across), found.labels, found.categories)


def same_places(a: Tensor, b: Tensor, pixels: float) -> bool:
    """Whether two lists of coordinates agree to so many pixels, NaN with NaN."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=pixels, equal_nan=True)
