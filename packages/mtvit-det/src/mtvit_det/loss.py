"""The class loss of picked queries: quality focal loss towards the IoU of the matched box, summed / objects.

Source: Li et al. 2020, eq. 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.losses import classification
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets


def quality_class_loss(predictions: DetPredictions, targets: DetTargets, match: Match) -> Float[Tensor, ""]:
    """Quality focal loss: a matched query is to say the IoU of its box at its class, all others zero.

    Classes that nobody annotated in an image give no loss there.
    """
    logits = predictions.logits
    with torch.no_grad():
        boxes, truth = match.gather(predictions.boxes), targets.boxes.expand(*match.query.shape, 4)
        quality = box_iou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth)) * match.matched
        wanted = classification.quality_targets(logits, quality, targets.labels, match)
    total = classification.quality_class_loss(logits, wanted, targets.labelled, targets.annotated)
    return total / shared_count(targets.valid.sum())
