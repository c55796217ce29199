"""What detection learns from a teacher of any variant; see ``mtvit_core.losses.distillation``."""

import torch
from jaxtyping import Int64
from torch import Tensor

from mtvit_core.losses.distillation import (
    SoftObjects,
    expected_focal_cost,
    expected_softmax_cost,
    soft_box_losses,
    soft_class_loss,
    soft_objects,
    soft_proposal_losses,
    soft_softmax_loss,
)
from mtvit_core.losses.matching import match_all
from mtvit_det.config import DetConfig
from mtvit_det.cost import box_cost
from mtvit_det.head import DetPredictions


def det_lesson(predictions: DetPredictions, columns: Int64[Tensor, " C"] | None) -> SoftObjects:
    """Return the objects that a teacher finds.

    Args:
        predictions: Of the teacher; the last layer counts.
        columns: Class column of each category, of a head with "no object"; None for one without.
    """
    logits = predictions.logits[-1]
    chances = logits.sigmoid() if columns is None else logits.softmax(-1)[..., columns.to(logits.device)]
    return soft_objects(chances, predictions.boxes[-1], predictions.pick)


def det_distillation(
    predictions: DetPredictions, lesson: SoftObjects, config: DetConfig, columns: Int64[Tensor, " C"]
) -> dict[str, Tensor]:
    """Return the weighted terms.

    Args:
        predictions: Of the student.
        lesson: The teacher's objects.
        config: Settings of the student.
        columns: Class column of each category of the student's head.
    """
    logits, yolos = predictions.logits, config.variant == "yolos"
    with torch.no_grad():
        classes = (
            expected_softmax_cost(logits, columns, lesson) if yolos else expected_focal_cost(logits, lesson)
        )
        boxes = box_cost(predictions.boxes, lesson.boxes, config.cost_l1, config.cost_giou)
        cost = config.class_weight * classes + boxes
    match = match_all({"det": (cost, lesson.counts)})["det"]
    found = soft_box_losses(predictions.boxes, lesson, match)
    terms = {"l1": config.loss_l1 * found["l1"], "giou": config.loss_giou * found["giou"]}
    if yolos:
        divergence = soft_softmax_loss(logits, columns, lesson, match, config.no_object)
        return {"class": config.loss_class * divergence, **terms}
    terms = {"class": config.loss_class * soft_class_loss(logits, lesson, match), **terms}
    return terms | soft_proposal_losses(predictions.pick, lesson.pick, config.loss_proposal)
