"""Losses of masks, and of the class of picked queries.

Each is summed over the supervised layers:

    mask            BCE at the points of a mask, mean over points, summed over matched masks / their number
    dice            1 - (2 sum s(x) t + 1) / (sum s(x) + sum t + 1), summed over matched masks / their number
    class (picked)  quality focal loss towards the IoU of the matched mask, summed over queries / objects

Sources: Cheng et al. 2022, section 3.3; Li et al. 2020 (quality focal loss).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses import classification
from mtvit_core.losses.global_batch import image_generators, shared_count
from mtvit_core.losses.matching import Match
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.points import Sampling, at_points, uncertain_points
from mtvit_seg.losses.targets import SegTargets, map_size


def matched_masks(
    predictions: SegPredictions, targets: SegTargets, match: Match
) -> tuple[Float[Tensor, "L T h w"], Float[Tensor, "L T"]]:
    """Return the mask logits of each packed object's query, and 1 where the object got a query, else 0."""
    layer = torch.arange(match.query.shape[0], device=targets.image.device)[:, None]
    query = match.query[:, targets.image, targets.slot]
    weight = match.matched[:, targets.image, targets.slot]
    return predictions.mask_logits[layer, targets.image, query], weight.to(predictions.mask_logits.dtype)


def mask_losses(
    predictions: SegPredictions, targets: SegTargets, match: Match, sampling: Sampling | None
) -> dict[str, Float[Tensor, ""]]:
    """Binary cross-entropy and dice of matched masks.

    Args:
        predictions: Mask logits.
        targets: True masks.
        match: Which query answers for which object.
        sampling: How to draw points; None takes every pixel of the mask map.
    """
    masks, weight = matched_masks(predictions, targets, match)
    # Without objects the sums are over nothing; the terms still hang on the masks, with zero gradient.
    tie = predictions.mask_logits.sum() * 0
    number = matched_number(targets, predictions.mask_logits.shape[2])
    if not len(targets.masks):
        return {"mask": tie, "dice": tie}
    if sampling is None:
        truth = targets.on_map(map_size(masks)).flatten(1).expand(len(masks), -1, -1)
        logits = masks.flatten(2)
    else:
        logits, truth = _at_uncertain_points(masks, targets, sampling)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(-1)
    overlap = dice(logits, truth)
    return {"mask": (entropy * weight).sum() / number + tie, "dice": (overlap * weight).sum() / number + tie}


def matched_number(targets: SegTargets, queries: int) -> Float[Tensor, ""]:
    """Number of objects that get a query, at least 1."""
    return shared_count(targets.valid.sum(1).clamp(max=queries).sum())


def dice(logits: Float[Tensor, "*any P"], truth: Float[Tensor, "*any P"]) -> Float[Tensor, "*any"]:
    """Dice loss of each mask, smoothed by 1."""
    inside = logits.sigmoid()
    return 1 - (2 * (inside * truth).sum(-1) + 1) / (inside.sum(-1) + truth.sum(-1) + 1)


def _at_uncertain_points(
    masks: Float[Tensor, "L T h w"], targets: SegTargets, sampling: Sampling
) -> tuple[Float[Tensor, "L T P"], Float[Tensor, "L T P"]]:
    layers, objects = masks.shape[:2]
    flat = masks.flatten(0, 1)
    sources = image_generators(len(targets.counts), flat.device)

    def draw(count: int) -> Float[Tensor, "T P 2"]:
        parts = [
            torch.rand(layers, masks, count, 2, generator=source, device=flat.device)
            for masks, source in zip(targets.counts, sources, strict=True)
        ]
        return torch.cat(parts, 1).flatten(0, 1)

    points = uncertain_points(flat, sampling, draw)
    logits = at_points(flat[:, None], points[:, None])[:, 0, 0].view(layers, objects, -1)
    per_object = points.view(layers, objects, -1, 2).transpose(0, 1)
    truth = at_points(targets.masks[:, None].to(masks.dtype), per_object)[:, 0].transpose(0, 1)
    return logits, truth


def quality_class_loss(predictions: SegPredictions, targets: SegTargets, match: Match) -> Float[Tensor, ""]:
    """Quality focal loss: a matched query is to say the IoU of its mask at its class, all others zero.

    Classes that nobody annotated in an image give no loss there.
    """
    logits = predictions.logits
    wanted = quality_targets(predictions, targets, match)
    total = classification.quality_class_loss(logits, wanted, targets.labelled, targets.annotated)
    return total / matched_number(targets, logits.shape[2])


@torch.no_grad()
def quality_targets(
    predictions: SegPredictions, targets: SegTargets, match: Match
) -> Float[Tensor, "L B Q C"]:
    """IoU of every matched mask at the class of its object, 0 elsewhere."""
    masks, weight = matched_masks(predictions, targets, match)
    overlap = map_iou(masks > 0, targets.on_map(map_size(masks))) * weight
    quality = overlap.new_zeros(match.query.shape)
    quality[:, targets.image, targets.slot] = overlap
    return classification.quality_targets(predictions.logits, quality, targets.labels, match)


def map_iou(found: Bool[Tensor, "L T h w"], truth: Float[Tensor, "T h w"]) -> Float[Tensor, "L T"]:
    """IoU of masks with coverages: sum min / sum max."""
    inside = found.to(truth.dtype)
    union = torch.maximum(inside, truth).sum((-2, -1))
    return torch.minimum(inside, truth).sum((-2, -1)) / union.clamp(min=1e-6)
