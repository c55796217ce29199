"""Box regression: how far boxes are from the truth, cx cy w h relative to the canvas.

    matched   L1 = sum_m |b_q(m) - b_m|_1 / objects,  GIoU = sum_m (1 - GIoU(b_q(m), b_m)) / objects
    proposal  2 (1 - GIoU(b_n, b_m)) + 5 |b_n - b_m|_1 of the box of patch n

Source: Carion et al. 2020, section 3.1.
"""

from jaxtyping import Float
from torch import Tensor

from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou

#: Weights of 1 - GIoU and of the L1 distance in the loss of a proposal's box.
GIOU_WEIGHT, L1_WEIGHT = 2.0, 5.0


def proposal_box_loss(boxes: Float[Tensor, "B N 4"], truth: Float[Tensor, "B N 4"]) -> Float[Tensor, "B N"]:
    """Weighted 1 - GIoU and L1 distance of each patch's box to its truth, cx cy w h, canvas 1 x 1."""
    overlap = generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth))
    return GIOU_WEIGHT * (1 - overlap) + L1_WEIGHT * (boxes - truth).abs().sum(-1)


def box_losses(
    boxes: Float[Tensor, "L B Q 4"], truth: Float[Tensor, "B M 4"], match: Match, objects: Float[Tensor, ""]
) -> dict[str, Float[Tensor, ""]]:
    """L1 distance and 1 - GIoU of matched boxes: summed over layers, divided by the number of objects.

    Args:
        boxes: Of the queries.
        truth: Of the objects.
        match: Which query answers for which object.
        objects: What sums are divided by, see ``mtvit_core.shared_count``.

    Returns:
        ``l1`` and ``giou``, not weighted.
    """
    found, wanted = match.gather(boxes), truth.expand(*match.query.shape, 4)
    weight = match.matched.to(boxes.dtype)
    distance = (found - wanted).abs().sum(-1)
    overlap = generalized_box_iou(cxcywh_to_xyxy(found), cxcywh_to_xyxy(wanted))
    # Without objects the sums are over nothing; the terms still hang on the boxes, with zero gradient.
    tie = boxes.sum() * 0
    return {
        "l1": (distance * weight).sum() / objects + tie,
        "giou": ((1 - overlap) * weight).sum() / objects + tie,
    }
