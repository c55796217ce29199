"""Losses of image labels, where some classes may be unknown and labels may be shares of mixed images.

    ce   -sum_c y_c log p_c,  p = softmax over the known classes,  y = (1 - s) t / sum_c t_c + s / K
    bce  -mean_c y_c log p_c + (1 - y_c) log(1 - p_c),  p = sigmoid,  y = (1 - s) t + s / 2

t is the share of the image that shows a class, s the smoothing, K the number of known classes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.global_batch import shared_count


@dataclass(frozen=True)
class ClsTargets:
    """Which classes each image shows, for which of them that is known, and which images are labelled.

    Attributes:
        shares: Share of the image that shows a class; 0 where the image is not labelled.
        known: Classes that were looked for, in labelled images.
        labelled: Images that are labelled.
        counts: Classes of each image.
    """

    shares: Float[Tensor, "B C"]
    known: Bool[Tensor, "B C"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]


def cross_entropy(logits: Float[Tensor, "B C"], targets: ClsTargets, smoothing: float) -> Float[Tensor, ""]:
    """Return the cross-entropy of the softmax, averaged over images that show a class."""
    shown = targets.shares.sum(1, keepdim=True)
    taught = shown[:, 0] > 0
    count = shared_count(taught.sum())
    of_known = logits.masked_fill(~targets.known & taught[:, None], -torch.inf).log_softmax(1)
    spread = targets.known / targets.known.sum(1, keepdim=True).clamp(min=1)
    wanted = (1 - smoothing) * targets.shares / shown.clamp(min=1e-6) + smoothing * spread
    wanted = wanted * taught[:, None]
    return -(wanted * of_known.where(targets.known, 0)).sum() / count


def binary_cross_entropy(
    logits: Float[Tensor, "B C"], targets: ClsTargets, smoothing: float
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy, averaged over what is known of images and classes."""
    count = shared_count(targets.known.sum())
    wanted = (1 - smoothing) * targets.shares + smoothing / 2
    entropy = F.binary_cross_entropy_with_logits(logits, wanted.to(logits.dtype), reduction="none")
    return (entropy * targets.known).sum() / count
