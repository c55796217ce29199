"""Matching costs of detection.

    yolos   C = -p(c) lambda_class + L1 lambda_L1 - GIoU lambda_giou
    picked  C = (FL(p, 1) - FL(p, 0)) lambda_class + the same box terms

Sources: Carion et al. 2020, eq. 2 (yolos); Zhu et al. 2021 (picked).
"""

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou


def box_cost(
    boxes: Float[Tensor, "L B Q 4"], truth: Float[Tensor, "B M 4"], l1: float, giou: float
) -> Float[Tensor, "L B Q M"]:
    """Weighted L1 distance minus GIoU of every query and object, boxes cx cy w h relative to the canvas."""
    a, b = boxes[:, :, :, None], truth[None, :, None]
    distance = (a - b).abs().sum(-1)
    return l1 * distance - giou * generalized_box_iou(cxcywh_to_xyxy(a), cxcywh_to_xyxy(b))


def softmax_cost(logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]) -> Float[Tensor, "L B Q M"]:
    """Minus the probability of each object's class, over all classes and "no object"."""
    return -_of_labels(logits.softmax(-1), labels)


def focal_cost(
    logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "L B Q M"]:
    """Focal loss of calling a query each object's class, minus that of calling it background."""
    probability = logits.sigmoid()
    positive = alpha * (1 - probability) ** gamma * F.softplus(-logits)
    negative = (1 - alpha) * probability**gamma * F.softplus(logits)
    return _of_labels(positive - negative, labels)


def _of_labels(values: Tensor, labels: Tensor) -> Tensor:
    layers, _, queries, _ = values.shape
    return values.gather(3, labels[None, :, None, :].expand(layers, -1, queries, -1))
