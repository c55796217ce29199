"""Detection losses.

    class (yolos)   cross-entropy over C + 1 classes, "no object" weighs 0.1, weighted mean over queries;
                    open where a class is not annotated
    class (picked)  quality focal loss towards the IoU of the matched box, summed over queries / objects
    box             (5 L1 + 2 (1 - GIoU)) summed over matched pairs / objects

Source of the box terms: Carion et al. 2020, eq. 2.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.losses.classification import open_cross_entropy, quality_focal
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy, generalized_box_iou
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets


def box_losses(
    predictions: DetPredictions, targets: DetTargets, match: Match
) -> dict[str, Float[Tensor, ""]]:
    """L1 and GIoU of matched boxes: summed over layers, divided by the number of objects."""
    boxes, truth = match.gather(predictions.boxes), targets.boxes.expand(*match.query.shape, 4)
    weight = match.matched.to(boxes.dtype)
    distance = (boxes - truth).abs().sum(-1)
    overlap = generalized_box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth))
    objects = shared_count(targets.valid.sum())
    # Without objects the sums are over nothing; the term still hangs on the boxes, with zero gradient.
    tie = predictions.boxes.sum() * 0
    return {
        "l1": (distance * weight).sum() / objects + tie,
        "giou": ((1 - overlap) * weight).sum() / objects + tie,
    }


def softmax_class_loss(
    logits: Float[Tensor, "L B Q C"], targets: DetTargets, match: Match, no_object: float
) -> Float[Tensor, ""]:
    """Cross-entropy with "no object": the weighted mean over labelled queries, summed over layers."""
    classes = logits.shape[-1] - 1
    truth = match.scatter(targets.labels, logits.shape[2], classes)
    weight = torch.where(truth == classes, no_object, 1.0) * _of_images(targets.labelled, truth)
    entropy = open_cross_entropy(logits, truth, targets.annotated)
    return ((entropy * weight).sum((1, 2)) / shared_count(weight.sum((1, 2)), least=1e-6)).sum()


def quality_class_loss(predictions: DetPredictions, targets: DetTargets, match: Match) -> Float[Tensor, ""]:
    """Quality focal loss: a matched query is to say the IoU of its box at its class, all others zero.

    Classes that nobody annotated in an image give no loss there.
    """
    logits = predictions.logits
    with torch.no_grad():
        boxes, truth = match.gather(predictions.boxes), targets.boxes.expand(*match.query.shape, 4)
        quality = box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth)) * match.matched
        labels = match.scatter(targets.labels, logits.shape[2], 0)
        target = torch.zeros_like(logits)
        target.scatter_(3, labels[..., None], match.scatter(quality, logits.shape[2], 0.0)[..., None])
    weight = _of_images(targets.labelled, logits[..., 0])[..., None] * targets.annotated[None, :, None]
    return (quality_focal(logits, target) * weight).sum() / shared_count(targets.valid.sum())


def _of_images(labelled: Bool[Tensor, " B"], like: Tensor) -> Float[Tensor, "1 B 1"]:
    return labelled.to(torch.float32 if not like.is_floating_point() else like.dtype)[None, :, None]
