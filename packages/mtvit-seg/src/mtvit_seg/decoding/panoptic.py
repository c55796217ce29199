"""One label for every pixel, and objects told apart, from the queries of the last layer.

With class c_q and score p_q of each query, and its mask probability s_q at a pixel, the rule of Kerssies et
al. 2025 (after Cheng et al. 2021) is:

    kept     c_q is a class and p_q > 0.8
    owner    argmax_q p_q s_q over kept queries
    segment  pixels that q owns with s_q >= 0.5, if q owns at least 0.8 of the area of s_q >= 0.5

Segments of one stuff class are merged; all other pixels are void.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap, Segment
from mtvit_seg.decoding.resize import at_original
from mtvit_seg.head import SegPredictions


@dataclass(frozen=True)
class PanopticRule:
    """The thresholds of the rule.

    Attributes:
        stuff: Labels of stuff classes.
        score: Class score that a query must exceed.
        overlap: Least share of its mask that a query must own.
    """

    stuff: frozenset[int]
    score: float
    overlap: float


def class_and_score(predictions: SegPredictions) -> tuple[Int64[Tensor, "B Q"], Float[Tensor, "B Q"]]:
    """Best class of every query and its probability; C stands for "no object" where the head knows it."""
    score, label = predictions.probabilities.max(-1)
    return label, score


def decode_panoptic(
    predictions: SegPredictions, meta: Sequence[ImageMeta], categories: Categories, rule: PanopticRule
) -> list[CategoryMap]:
    """Return the panoptic map of every image.

    Args:
        predictions: Of the last layer.
        meta: One entry per image.
        categories: Classes.
        rule: Thresholds.
    """
    labels, scores = class_and_score(predictions)
    kept = (labels < len(categories)) & (scores > rule.score)
    results = []
    for i, at in enumerate(meta):
        masks = predictions.mask_logits[-1, i, kept[i]]
        label, score = labels[i, kept[i]], scores[i, kept[i]]
        owner, inside, area = _owners(masks, score, predictions.canvas, at)
        map_, segments = _segments(owner, inside, area, label.tolist(), score.tolist(), rule)
        results.append(CategoryMap.panoptic(map_.cpu(), segments, categories))
    return results


def _owners(
    masks: Float[Tensor, "Q h w"], scores: Float[Tensor, " Q"], canvas: tuple[int, int], at: ImageMeta
) -> tuple[Int64[Tensor, "H W"], Bool[Tensor, "H W"], Int64[Tensor, " Q"]]:
    """Owner of every pixel (-1: none), whether it is inside the owner's mask, and the area of every mask."""
    best = masks.new_full((at.height, at.width), -1.0)
    owner = torch.full_like(best, -1, dtype=torch.int64)
    inside = torch.zeros_like(best, dtype=torch.bool)
    areas = [torch.zeros(0, dtype=torch.int64, device=masks.device)]
    start = 0
    for logits in at_original(masks, canvas, at) if len(masks) else ():
        probability = logits.sigmoid()
        claim, winner = (probability * scores[start : start + len(logits), None, None]).max(0)
        areas.append((probability >= 0.5).sum((1, 2)))
        taken = claim > best
        owner = torch.where(taken, winner + start, owner)
        inside = torch.where(taken, probability.gather(0, winner[None])[0] >= 0.5, inside)
        best = torch.where(taken, claim, best)
        start += len(logits)
    return owner, inside, torch.cat(areas)


def _segments(
    owner: Int64[Tensor, "H W"],
    inside: Bool[Tensor, "H W"],
    mask_area: Int64[Tensor, " Q"],
    labels: list[int],
    scores: list[float],
    rule: PanopticRule,
) -> tuple[Int64[Tensor, "H W"], tuple[Segment, ...]]:
    queries = len(labels)
    owned = torch.bincount(owner.flatten() + 1, minlength=queries + 1)[1:]
    final = torch.bincount((owner + 1)[inside], minlength=queries + 1)[1:]
    lasting = (final > 0) & (mask_area > 0) & (owned >= rule.overlap * mask_area)
    id_of_query = torch.zeros(queries + 1, dtype=torch.int64, device=owner.device)
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    for query in lasting.nonzero()[:, 0].tolist():
        label, area = labels[query], int(final[query])
        if label in stuff:
            old = segments[stuff[label]]
            segments[stuff[label]] = replace(old, score=max(old.score, scores[query]), area=old.area + area)
            id_of_query[query] = old.id
            continue
        new = Segment(len(segments) + 1, label, scores[query], area, label in rule.stuff)
        if new.is_stuff:
            stuff[label] = len(segments)
        segments.append(new)
        id_of_query[query] = new.id
    return torch.where(inside, id_of_query[owner], 0), tuple(segments)
