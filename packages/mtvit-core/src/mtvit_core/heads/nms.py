"""Non-maximum suppression: of objects of one class whose boxes overlap too much the best stays.

    greedy     keep_i = no kept j < i has X_ij,  X_ij = IoU(b_i, b_j) > t, rows by falling score
    by rounds  keep <- not any_j<i (X_ij keep_j), from keep = 1 until nothing changes

The second form needs no loop over objects, and has the first as its only fixed point: after r rounds the
first r objects of every chain of overlaps are settled (Zheng et al. 2021, Cluster-NMS, section 3.3).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms

from mtvit_core.structures.boxes import box_area
from mtvit_core.structures.instances import Instances

#: Rounds of an exported program. Of 800 dense random boxes 6 settle every one, of 400 boxes 3.
ROUNDS = 8


def class_nms(found: Instances, threshold: float) -> Instances:
    """Drop objects whose box overlaps that of a better one of the same class.

    Args:
        found: Objects of one image.
        threshold: Largest IoU with a kept box; 1 keeps all.

    Returns:
        The objects that stay, best first.
    """
    if threshold >= 1:
        return found
    return found[batched_nms(found.boxes, found.scores, found.labels, threshold)]


def unrepeated(
    boxes: Float[Tensor, "B M 4"], threshold: float, labels: Int64[Tensor, "B M"] | None = None
) -> Bool[Tensor, "B M"]:
    """Tell which boxes repeat no better one, by a fixed number of rounds; for programs without loops.

    Args:
        boxes: Corners x0 y0 x1 y1, best first.
        threshold: Largest IoU with a kept box.
        labels: Classes, of which only equal ones repeat each other; None where all do.
    """
    # Side by side, in planes M x M: pairs of coordinates as the last axis are slow in runtimes.
    x0, y0, x1, y1 = boxes.unbind(-1)
    width, height = _common(x0, x1), _common(y0, y1)
    shared, area = width * height, box_area(boxes)
    # I > t U without a quotient: U = A + A' - I.
    repeats = shared * (1 + threshold) > threshold * (area[:, :, None] + area[:, None])
    if labels is not None:
        repeats = repeats & (labels[:, :, None] == labels[:, None])
    better = repeats.to(boxes.dtype).tril(-1)
    keep = torch.ones_like(area)
    for _ in range(ROUNDS):
        keep = (torch.matmul(better, keep[..., None])[..., 0] < 0.5).to(boxes.dtype)
    return keep > 0.5


def _common(low: Float[Tensor, "B M"], high: Float[Tensor, "B M"]) -> Float[Tensor, "B M M"]:
    """Lengths that each two intervals have in common."""
    ends = torch.minimum(high[:, :, None], high[:, None])
    return (ends - torch.maximum(low[:, :, None], low[:, None])).clamp(min=0)
