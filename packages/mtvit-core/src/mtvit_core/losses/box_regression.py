"""Box regression: how far proposed boxes are from the truth."""

from jaxtyping import Float
from torch import Tensor

from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou

#: Weights of 1 - GIoU and of the L1 distance in the loss of a proposal's box.
GIOU_WEIGHT, L1_WEIGHT = 2.0, 5.0


def proposal_box_loss(boxes: Float[Tensor, "B N 4"], truth: Float[Tensor, "B N 4"]) -> Float[Tensor, "B N"]:
    """Weighted 1 - GIoU and L1 distance of each patch's box to its truth, cx cy w h, canvas 1 x 1."""
    overlap = generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth))
    return GIOU_WEIGHT * (1 - overlap) + L1_WEIGHT * (boxes - truth).abs().sum(-1)
