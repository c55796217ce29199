"""Costs by which tasks match queries q to objects m.

With class c_m and box b_m of an object, class probability p_q and box b_q of a query:

    softmax  C_class = -p_q(c_m), over all classes and "no object"
    focal    C_class = FL(p_q(c_m), 1) - FL(p_q(c_m), 0),  FL(p, t) the focal loss of ``classification``
    box      C_box   = lambda_L1 |b_q - b_m|_1 - lambda_giou GIoU(b_q, b_m)

Sources: Carion et al. 2020, eq. 2 (softmax, box); Zhu et al. 2021 (focal).
"""

from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou


def softmax_cost(logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]) -> Float[Tensor, "L B Q M"]:
    """Minus the probability of each object's class, over all classes and "no object"."""
    return -_of_labels(logits.softmax(-1), labels)


def focal_cost(
    logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "L B Q M"]:
    """Focal loss of calling a query each object's class, minus that of calling it background.

    Args:
        logits: Of independent classes.
        labels: Class of each object.
        alpha: Weight of positives; negatives weigh 1 - alpha.
        gamma: How strongly easy classes are damped.
    """
    probability = logits.sigmoid()
    positive = alpha * (1 - probability) ** gamma * F.softplus(-logits)
    negative = (1 - alpha) * probability**gamma * F.softplus(logits)
    return _of_labels(positive - negative, labels)


def box_cost(
    boxes: Float[Tensor, "L B Q 4"], truth: Float[Tensor, "B M 4"], l1: float, giou: float
) -> Float[Tensor, "L B Q M"]:
    """Weighted L1 distance minus GIoU of every query and object.

    Args:
        boxes: Of the queries, cx cy w h relative to the canvas.
        truth: Of the objects, alike.
        l1: Weight of the L1 distance.
        giou: Weight of the GIoU.
    """
    a, b = boxes[:, :, :, None], truth[None, :, None]
    distance = (a - b).abs().sum(-1)
    return l1 * distance - giou * generalized_box_iou(cxcywh_to_xyxy(a), cxcywh_to_xyxy(b))


def _of_labels(values: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]) -> Float[Tensor, "L B Q M"]:
    layers, _, queries, _ = values.shape
    return values.gather(3, labels[None, :, None, :].expand(layers, -1, queries, -1))
