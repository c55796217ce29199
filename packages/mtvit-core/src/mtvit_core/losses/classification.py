"""Losses that several tasks share.

    focal      FL(p, t)  = -alpha_t (1 - p_t)^gamma log p_t
    quality    QFL(p, q) = |q - p|^beta BCE(p, q), q in [0, 1]
    open       CE(p, y)  = -log p_y for an object, -log (p_0 + sum_{c in U} p_c) for background

where 0 is "no object" and U the categories that nobody annotated in the image. Of matched queries q, in the
labelled images of a batch:

    softmax    sum_q w_q CE(p_q, y_q) / sum_q w_q,  w_q = 1 for an object, a small one for "no object"
    qualities  sum_qc QFL(p_qc, quality of the match at c = y_q, else 0),  c annotated in the image

Sources: Lin et al. 2017, eq. 5 (focal); Li et al. 2020, eq. 3 (quality); Cermelli et al. 2020 ("Modeling the
Background"), eq. 3 (open); Carion et al. 2020, section 3.1 (softmax).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match


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


def softmax_class_loss(
    logits: Float[Tensor, "L B Q C"],
    labels: Int64[Tensor, "B M"],
    labelled: Bool[Tensor, " B"],
    annotated: Bool[Tensor, "B C2"],
    match: Match,
    no_object: float,
) -> Float[Tensor, ""]:
    """Cross-entropy with "no object": the weighted mean over queries of labelled images, summed over layers.

    Args:
        logits: Of every class; the last column is "no object".
        labels: Class of each object.
        labelled: Which images carry labels; the others give no loss.
        annotated: Classes annotated in each image, without "no object".
        match: Which query answers for which object.
        no_object: Weight of queries without an object.
    """
    classes = logits.shape[-1] - 1
    truth = match.scatter(labels, logits.shape[2], classes)
    weight = torch.where(truth == classes, no_object, 1.0) * labelled[None, :, None]
    entropy = open_cross_entropy(logits, truth, annotated)
    return ((entropy * weight).sum((1, 2)) / shared_count(weight.sum((1, 2)), least=1e-6)).sum()


def quality_targets(
    logits: Float[Tensor, "L B Q C"],
    quality: Float[Tensor, "L B M"],
    labels: Int64[Tensor, "B M"],
    match: Match,
) -> Float[Tensor, "L B Q C"]:
    """Return the quality of every match at the class of its object, 0 elsewhere.

    Args:
        logits: For shape and type.
        quality: Of each object's match, such as the IoU of the boxes, in [0, 1].
        labels: Class of each object.
        match: Which query answers for which object.
    """
    queries = logits.shape[2]
    column = match.scatter(labels, queries, 0)[..., None]
    value = match.scatter(quality, queries, 0.0)[..., None]
    return torch.zeros_like(logits).scatter_(3, column, value)


def quality_class_loss(
    logits: Float[Tensor, "L B Q C"],
    targets: Float[Tensor, "L B Q C"],
    labelled: Bool[Tensor, " B"],
    annotated: Bool[Tensor, "B C"],
) -> Float[Tensor, ""]:
    """Quality focal loss of all queries, summed; to be divided by the number of objects.

    Args:
        logits: Of independent classes.
        targets: What ``quality_targets`` returns.
        labelled: Which images carry labels; the others give no loss.
        annotated: Classes annotated in each image; the others give no loss there.
    """
    weight = (labelled[:, None] & annotated).to(logits.dtype)[None, :, None]
    return (quality_focal(logits, targets) * weight).sum()
