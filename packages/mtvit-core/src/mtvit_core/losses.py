"""Losses that several tasks share.

    focal      FL(p, t)  = -alpha_t (1 - p_t)^gamma log p_t
    quality    QFL(p, q) = |q - p|^beta BCE(p, q), q in [0, 1]

Sources: Lin et al. 2017, eq. 5 (focal); Li et al. 2020, eq. 3 (quality).
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def sigmoid_focal(
    logits: Float[Tensor, "*any"], targets: Float[Tensor, "*any"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "*any"]:
    """Focal loss of independent binary labels, elementwise.

    Args:
        logits: Before the sigmoid.
        targets: 0 or 1.
        alpha: Weight of positives; negatives weigh 1 - alpha.
        gamma: How strongly easy elements are damped.

    Returns:
        Non-negative values.
    """
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    agreement = probability * targets + (1 - probability) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * (1 - agreement) ** gamma * entropy


def quality_focal(
    logits: Float[Tensor, "*any"], quality: Float[Tensor, "*any"], beta: float = 2.0
) -> Float[Tensor, "*any"]:
    """Focal loss towards a soft target, such as the IoU of a box, elementwise.

    Args:
        logits: Before the sigmoid.
        quality: Targets in [0, 1]; 0 for the background.
        beta: How strongly elements near their target are damped.

    Returns:
        Non-negative values.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs() ** beta * entropy
