"""Losses that several tasks share.

    focal      FL(p, t)  = -alpha_t (1 - p_t)^gamma log p_t
    quality    QFL(p, q) = |q - p|^beta BCE(p, q), q in [0, 1]
    open       CE(p, y)  = -log p_y for an object, -log (p_0 + sum_{c in U} p_c) for background

where 0 is "no object" and U the categories that nobody annotated in the image.

Sources: Lin et al. 2017, eq. 5 (focal); Li et al. 2020, eq. 3 (quality); Cermelli et al. 2020 ("Modeling the
Background"), eq. 3 (open).
"""

import torch
from jaxtyping import Bool, Float, Int64
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


def open_cross_entropy(
    logits: Float[Tensor, "L B Q C"], truth: Int64[Tensor, "L B Q"], annotated: Bool[Tensor, "B C2"]
) -> Float[Tensor, "L B Q"]:
    """Cross-entropy with "no object", which may hide an object of a category that nobody annotated.

    A query without an object is to say "no object or a category not annotated here", so it takes no
    probability from the latter. A query with an object is to say its class: it is then none of the others.
    Where all categories are annotated this is the usual cross-entropy, to the bit.

    Args:
        logits: Of every class; the last column is "no object".
        truth: Class of each query.
        annotated: Classes annotated in each image, without "no object".
    """
    nothing = logits.shape[-1] - 1
    entropy = F.cross_entropy(logits.flatten(0, 2), truth.flatten(), reduction="none").view(truth.shape)
    known = F.pad(annotated, (0, 1), value=False)[None, :, None]
    background = torch.logsumexp(logits.masked_fill(known, -torch.inf), -1)
    return entropy - torch.where(truth == nothing, background - logits[..., -1], 0.0)
