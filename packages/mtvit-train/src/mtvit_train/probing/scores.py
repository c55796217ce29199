"""Numbers about features: what neighbours and linear probes read from them, and whether they have collapsed.

k-NN      score_c = sum over the k nearest of softmax(cos / 0.07) y_c            (DINO)
probe     W = (X^T X / S + r I)^-1 X^T (Y - mean) / S, X standardised
RankMe    exp(H(p)), p = s / sum s, s singular values of the features            (Garrido et al. 2023)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

_TEMPERATURE = 0.07
#: Ridge of the linear probe, relative to the variance of a feature.
RIDGE = 0.1
#: Limits of the alarm: mean cosine between images, and rank as a share of the highest possible.
ALIKE, FLAT = 0.95, 0.02


def nearest(
    x: Float[Tensor, "S D"], y: Bool[Tensor, "S C"], asked: Float[Tensor, "V D"], k: int
) -> Float[Tensor, "V C"]:
    """Return the score of every class by the vote of the nearest images."""
    cosine = F.normalize(asked, dim=-1) @ F.normalize(x, dim=-1).T
    best = cosine.topk(min(k, len(x)), 1)
    votes = (best.values / _TEMPERATURE).softmax(1)
    return torch.einsum("vk,vkc->vc", votes, y[best.indices].to(votes.dtype))


def linear(
    x: Float[Tensor, "S D"], y: Bool[Tensor, "S C"], asked: Float[Tensor, "V D"]
) -> Float[Tensor, "V C"]:
    """Return the score of every class by a ridge regression of the labels on the features."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    features, centre = (x - mean) / spread, y.float().mean(0)
    gram = features.T @ features / len(x) + RIDGE * torch.eye(x.shape[1])
    weights = torch.linalg.solve(gram, features.T @ (y.float() - centre) / len(x))
    scores: Tensor = centre + (asked - mean) / spread @ weights
    return scores


def mean_precision(scores: Float[Tensor, "V C"], truth: Bool[Tensor, "V C"]) -> float:
    """Return the mean over classes of the area under precision and recall; NaN where none is there."""
    found = [average_precision(scores[:, c], truth[:, c]) for c in range(truth.shape[1]) if truth[:, c].any()]
    return sum(found) / len(found) if found else float("nan")


def average_precision(scores: Float[Tensor, " V"], truth: Bool[Tensor, " V"]) -> float:
    """Return the area under precision over recall, in steps; equal scores pass a threshold together."""
    order = scores.argsort(descending=True, stable=True)
    hits, falls = truth[order].double().cumsum(0), scores[order].diff() != 0
    ends = torch.cat([falls, torch.ones(1, dtype=torch.bool)])
    precision, recall = (hits / torch.arange(1, len(hits) + 1))[ends], (hits / hits[-1])[ends]
    return float((recall.diff(prepend=torch.zeros(1)) * precision).sum())


def accuracy(scores: Float[Tensor, "V C"], truth: Bool[Tensor, "V C"], k: int) -> float:
    """Return the share of images that show one of their k best classes; of equal scores, the first ones."""
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return float(truth.gather(1, best).any(1).double().mean())


def effective_rank(x: Float[Tensor, "S D"]) -> float:
    """Return RankMe: in how many directions features spread, at most the smaller of their sides."""
    values = torch.linalg.svdvals(x.double())
    share = values / values.sum() + 1e-7
    return float((-(share * share.log()).sum()).exp())


def mean_cosine(x: Float[Tensor, "S D"]) -> float:
    """Return the mean cosine between different images."""
    unit = F.normalize(x.double(), dim=-1)
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / (count * (count - 1)))


@dataclass(frozen=True)
class Spread:
    """How well features tell images apart.

    Attributes:
        rank: Their effective rank.
        cosine: Mean cosine between images.
    """

    rank: float
    cosine: float


def collapse(now: Spread, start: Spread, most: int) -> str:
    """Return a line where features hardly tell images apart, and no better than at the start; else nothing.

    Features of random weights, and those of images that are much alike, are beyond the limits from the start.

    Args:
        now: Of the features of a run.
        start: Of those before its first update.
        most: Highest rank that they can have.
    """
    flat = now.cosine > ALIKE or now.rank < FLAT * most
    if not flat or (now.cosine < start.cosine and now.rank > start.rank):
        return ""
    return (
        f"features are collapsing: the mean cosine between images is {now.cosine:.3f} ({start.cosine:.3f} at "
        f"the start), the effective rank {now.rank:.1f} of {most} ({start.rank:.1f})"
    )
