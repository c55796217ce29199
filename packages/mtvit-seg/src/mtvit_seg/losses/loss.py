"""Segmentation losses.

Each is summed over the supervised layers:

    mask            BCE at the points of a mask, mean over points, summed over matched masks / their number
    dice            1 - (2 sum s(x) t + 1) / (sum s(x) + sum t + 1), summed over matched masks / their number
    class (eomt)    cross-entropy over C + 1 classes, "no object" weighs 0.1, weighted mean over queries; open
                    where a class is not annotated
    class (picked)  quality focal loss towards the IoU of the matched mask, summed over queries / objects
    box (picked)    L1 and 1 - GIoU of matched boxes, summed / objects

Sources: Cheng et al. 2022, section 3.3; Li et al. 2020 (quality focal loss).
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.losses.classification import open_cross_entropy, quality_focal
from mtvit_core.losses.global_batch import image_generators, shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou
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


def box_losses(
    boxes: Float[Tensor, "L B Q 4"], targets: SegTargets, match: Match
) -> dict[str, Float[Tensor, ""]]:
    """L1 and GIoU of matched boxes."""
    found, truth = match.gather(boxes), targets.boxes.expand(*match.query.shape, 4)
    weight = match.matched.to(boxes.dtype)
    number, tie = matched_number(targets, boxes.shape[2]), boxes.sum() * 0
    distance = (found - truth).abs().sum(-1)
    overlap = generalized_box_iou(cxcywh_to_xyxy(found), cxcywh_to_xyxy(truth))
    terms = {"l1": distance, "giou": 1 - overlap}
    return {name: (values * weight).sum() / number + tie for name, values in terms.items()}


def softmax_class_loss(
    logits: Float[Tensor, "L B Q C"], targets: SegTargets, match: Match, no_object: float
) -> Float[Tensor, ""]:
    """Cross-entropy over classes and "no object": the weighted mean over labelled queries of each layer."""
    classes = logits.shape[-1] - 1
    truth = match.scatter(targets.labels, logits.shape[2], classes)
    weight = torch.where(truth == classes, no_object, 1.0) * targets.labelled[None, :, None]
    entropy = open_cross_entropy(logits, truth, targets.annotated)
    return ((entropy * weight).sum((1, 2)) / shared_count(weight.sum((1, 2)), least=1e-6)).sum()


def quality_class_loss(predictions: SegPredictions, targets: SegTargets, match: Match) -> Float[Tensor, ""]:
    """Quality focal loss: a matched query is to say the IoU of its mask at its class, all others zero.

    Classes that nobody annotated in an image give no loss there.
    """
    logits = predictions.logits
    target = quality_targets(predictions, targets, match)
    weight = (targets.labelled[:, None] & targets.annotated).to(logits.dtype)[None, :, None]
    return (quality_focal(logits, target) * weight).sum() / matched_number(targets, logits.shape[2])


@torch.no_grad()
def quality_targets(
    predictions: SegPredictions, targets: SegTargets, match: Match
) -> Float[Tensor, "L B Q C"]:
    """IoU of every matched mask at the class of its object, 0 elsewhere."""
    masks, weight = matched_masks(predictions, targets, match)
    overlap = map_iou(masks > 0, targets.on_map(map_size(masks))) * weight
    quality = overlap.new_zeros(match.query.shape)
    quality[:, targets.image, targets.slot] = overlap
    queries = predictions.logits.shape[2]
    labels: Int64[Tensor, "L B Q"] = match.scatter(targets.labels, queries, 0)
    target = torch.zeros_like(predictions.logits)
    return target.scatter_(3, labels[..., None], match.scatter(quality, queries, 0.0)[..., None])


def map_iou(found: Bool[Tensor, "L T h w"], truth: Float[Tensor, "T h w"]) -> Float[Tensor, "L T"]:
    """IoU of masks with coverages: sum min / sum max."""
    inside = found.to(truth.dtype)
    union = torch.maximum(inside, truth).sum((-2, -1))
    return torch.minimum(inside, truth).sum((-2, -1)) / union.clamp(min=1e-6)
