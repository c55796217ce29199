"""What one-pass pose learns from a teacher.

Class, box and proposals are those of ``mtvit_core.losses.distillation``. With the teacher's keypoints y_k,
refined where it refines, and its probability v_k that keypoint k is labelled, means over k weighted by
s_m v_k:

    keypoint    |x_k - y_k| / sqrt(area of the teacher's box)
    refined     the same for the refined keypoints
    visibility  KL(v_k || s(x)),  weighted by s_m alone
    quality     KL(o || s(x)),  o the OKS that the teacher expects, weighted by s_m alone
    dense       quality focal loss towards the teacher's dense heatmaps, summed / sum of s_m v_k
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.losses.classification import quality_focal
from mtvit_core.losses.distillation import (
    SoftObjects,
    binary_divergence,
    expected_focal_cost,
    soft_box_losses,
    soft_class_loss,
    soft_objects,
    soft_proposal_losses,
)
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.head import PosePredictions


@dataclass(frozen=True)
class PoseLesson:
    """What a one-pass teacher says.

    Attributes:
        objects: People: classes and boxes.
        points: x, y relative to the canvas.
        visibility: Probability that a keypoint is labelled.
        quality: The OKS that the teacher expects of its keypoints.
        heat: Dense heatmaps; None from a teacher that does not refine.
    """

    objects: SoftObjects
    points: Float[Tensor, "B M K 2"]
    visibility: Float[Tensor, "B M K"]
    quality: Float[Tensor, "B M"]
    heat: Float[Tensor, "B K h w"] | None


@torch.no_grad()
def pose_lesson(predictions: PosePredictions) -> PoseLesson:
    """Return the people that a teacher finds; the last layer counts."""
    last = predictions.last
    objects = soft_objects(last.logits[0].sigmoid(), last.boxes[0], last.pick)
    windows = last.windows(objects.query[None])
    return PoseLesson(
        objects=objects,
        points=objects.of_queries(last.points[0]) if windows is None else windows.points,
        visibility=objects.of_queries(last.visibility[0]).sigmoid(),
        quality=objects.of_queries(last.quality[0]).sigmoid(),
        heat=None if last.heat is None else last.heat[0].sigmoid(),
    )


def pose_distillation(
    predictions: PosePredictions, lesson: PoseLesson, config: PoseConfig
) -> dict[str, Tensor]:
    """Return the weighted terms.

    Args:
        predictions: Of the student.
        lesson: The teacher's people.
        config: Settings of the student.
    """
    objects = lesson.objects
    match = match_all({"pose": (_cost(predictions, lesson, config), objects.counts)})["pose"]
    boxes = soft_box_losses(predictions.boxes, objects, match)
    terms = {
        "class": config.loss_class * soft_class_loss(predictions.logits, objects, match),
        "l1": config.loss_l1 * boxes["l1"],
        "giou": config.loss_giou * boxes["giou"],
        **_keypoint_terms(predictions, lesson, match, config),
    }
    if predictions.heat is not None and lesson.heat is not None:
        seen = shared_count((objects.weight[..., None] * lesson.visibility).sum())
        heat = quality_focal(predictions.heat, lesson.heat.expand_as(predictions.heat))
        terms["dense"] = config.loss_dense * heat.sum() / seen
    return terms | soft_proposal_losses(predictions.pick, objects.pick, config.loss_proposal)


def _keypoint_terms(
    predictions: PosePredictions, lesson: PoseLesson, match: Match, config: PoseConfig
) -> dict[str, Tensor]:
    """Terms of matched queries only, end to end."""
    layer, image, person = match.matched.nonzero(as_tuple=True)
    query = match.query[layer, image, person]
    sure, seen = lesson.objects.weight, lesson.objects.weight[..., None] * lesson.visibility
    weight = sure[image, person] / shared_count(sure.sum())
    weights = seen[image, person] / shared_count(seen.sum())
    truth = lesson.points[image, person]
    size = (lesson.objects.boxes[image, person, 2:] * predictions.scale).prod(-1).clamp(min=1).sqrt()

    def distance(points: Float[Tensor, "P K 2"]) -> Float[Tensor, ""]:
        pixels = ((points - truth) * predictions.scale).abs().sum(-1)
        return config.loss_keypoint * (weights * pixels / size[:, None]).sum()

    visibility = binary_divergence(
        predictions.visibility[layer, image, query], lesson.visibility[image, person]
    )
    quality = binary_divergence(predictions.quality[layer, image, query], lesson.quality[image, person])
    terms = {
        "keypoint": distance(predictions.points[layer, image, query]),
        "visibility": config.loss_visibility * (weight * visibility.mean(-1)).sum(),
        "quality": config.loss_quality * (weight * quality).sum(),
    }
    windows = predictions.windows_of(layer, image, query)
    return terms if windows is None else terms | {"refined": distance(windows.points[:, 0])}


@torch.no_grad()
def _cost(predictions: PosePredictions, lesson: PoseLesson, config: PoseConfig) -> Float[Tensor, "L B Q M"]:
    """Class and box cost, and the distance of the keypoints in person sizes."""
    objects = lesson.objects
    a, b = predictions.boxes[:, :, :, None], objects.boxes[None, :, None]
    overlap = generalized_box_iou(cxcywh_to_xyxy(a), cxcywh_to_xyxy(b))
    cost = config.cost_l1 * (a - b).abs().sum(-1) + config.cost_giou * (1 - overlap)
    cost = cost + config.cost_class * expected_focal_cost(predictions.logits, objects)
    offset = predictions.points[:, :, :, None] - lesson.points[None, :, None]
    pixels = (offset * predictions.scale).abs().sum(-1)
    seen = lesson.visibility / lesson.visibility.sum(-1, keepdim=True).clamp(min=1)
    size = (objects.boxes[..., 2:] * predictions.scale).prod(-1).clamp(min=1).sqrt()
    distance = torch.einsum("lbqmk,bmk->lbqm", pixels, seen) / size[None, :, None]
    return cost + config.cost_keypoint * distance
