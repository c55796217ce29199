"""Matching cost and losses of the one-pass head.

Each person is matched to one query per layer; that query alone learns to say "person". Box and keypoints are
learned also by the other queries picked on the person (one-to-many): most of the signal when steps are few.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.boxes import box_iou, cxcywh_to_xyxy, generalized_box_iou
from mtvit_core.counts import shared_count
from mtvit_core.denoising import NOISED, noised_box_loss, noised_boxes, noised_weight
from mtvit_core.losses import sigmoid_focal
from mtvit_core.matching import Match
from mtvit_core.object_reader import Reading
from mtvit_core.proposals import proposal_loss
from mtvit_pose.config import PoseConfig
from mtvit_pose.dense import dense_loss
from mtvit_pose.head import PosePredictions, points_in
from mtvit_pose.oks import masked_mean, oks
from mtvit_pose.targets import PoseTargets

#: Overlap of its picked box with a person from which an unmatched query learns that person's pose.
ON_PERSON = 0.3


@dataclass(frozen=True)
class Pairs:
    """Predicted persons beside true ones, elementwise.

    Attributes:
        boxes: Predicted, cx cy w h relative to the canvas.
        points: Predicted, x, y relative to the canvas.
        true_boxes: As ``boxes``.
        true_points: As ``points``.
        known: Labelled keypoints.
        areas: Areas of the true persons in square pixels.
        sigmas: Of the keypoints.
        scale: Columns and rows of the canvas.
    """

    boxes: Float[Tensor, "*any 4"]
    points: Float[Tensor, "*any K 2"]
    true_boxes: Float[Tensor, "*any 4"]
    true_points: Float[Tensor, "*any K 2"]
    known: Bool[Tensor, "*any K"]
    areas: Float[Tensor, "*any"]
    sigmas: Float[Tensor, "*any K"]
    scale: Float[Tensor, " 2"]

    def box_distance(self) -> Float[Tensor, "*any"]:
        """L1 distance of the boxes, relative to the canvas."""
        return (self.boxes - self.true_boxes).abs().sum(-1)

    def giou(self) -> Float[Tensor, "*any"]:
        """Generalised IoU of the boxes."""
        return generalized_box_iou(cxcywh_to_xyxy(self.boxes), cxcywh_to_xyxy(self.true_boxes))

    def keypoint_distance(self) -> Float[Tensor, "*any"]:
        """Mean L1 distance of the labelled keypoints, in units of the square root of the true box's area."""
        size = (self.true_boxes[..., 2:] * self.scale).prod(-1).clamp(min=1).sqrt()
        pixels = ((self.points - self.true_points) * self.scale).abs().sum(-1)
        return masked_mean(pixels, self.known) / size

    def oks(self) -> Float[Tensor, "*any"]:
        """OKS; 0 for people without labelled keypoints."""
        return oks(
            self.points * self.scale, self.true_points * self.scale, self.known, self.areas, self.sigmas
        )


def match_cost(
    predictions: PosePredictions, targets: PoseTargets, config: PoseConfig
) -> Float[Tensor, "L B Q M"]:
    """Cost of giving each person to each query: class, box, and distance and OKS of the labelled keypoints.

    The class term is the focal loss as a positive less that as a negative (Zhu et al. 2021); keypoint terms
    are 0 for people without labelled keypoints.
    """
    layers, _, queries = predictions.boxes.shape[:3]
    logits = predictions.logits.gather(-1, targets.classes[None, :, None].expand(layers, -1, queries, -1))
    ones = torch.ones_like(logits)
    cost = config.cost_class * (sigmoid_focal(logits, ones) - sigmoid_focal(logits, 1 - ones))
    pairs = _every_pair(predictions, targets)
    cost = cost + config.cost_l1 * pairs.box_distance() + config.cost_giou * (1 - pairs.giou())
    pose = config.cost_keypoint * pairs.keypoint_distance() + config.cost_oks * (1 - pairs.oks())
    return cost + pose * targets.posed[None, :, None]


def pose_losses(
    predictions: PosePredictions, targets: PoseTargets, match: Match, config: PoseConfig
) -> dict[str, Tensor]:
    """Weighted loss terms: means over people (class: sums over queries per person), summed over layers."""
    owner, taught = _owners(predictions, targets, match, config.one_to_many)
    pairs = _pairs(predictions.boxes, predictions.points, targets, owner, predictions.scale)
    posed = taught & pairs.known.any(-1)
    matched = match.matched & targets.valid
    exists = _of_owner(targets.exists, owner) & posed[..., None]
    visibility = F.binary_cross_entropy_with_logits(
        predictions.visibility, pairs.known.to(pairs.points.dtype), reduction="none"
    )
    terms = {
        "class": config.loss_class * _class_loss(predictions, targets, match),
        "l1": config.loss_l1 * _mean(pairs.box_distance(), taught),
        "giou": config.loss_giou * _mean(1 - pairs.giou(), taught),
        "keypoint": config.loss_keypoint * _mean(pairs.keypoint_distance(), posed),
        "oks": config.loss_oks * _mean(1 - pairs.oks(), posed),
        "visibility": config.loss_visibility * _mean(visibility, exists),
    }
    terms |= _matched_losses(predictions, targets, match.query, matched & targets.posed, config)
    if predictions.reading is not None:
        noised = _denoising_losses(predictions.reading, targets, predictions.scale, config)
        terms |= {name: config.loss_denoising * value for name, value in noised.items()}
    proposals = proposal_loss(
        predictions.pick,
        targets.classes,
        targets.boxes,
        targets.valid,
        targets.labelled,
        targets.annotated,
    )
    return terms | {name: config.loss_proposal * value for name, value in proposals.items()}


def _matched_losses(
    predictions: PosePredictions,
    targets: PoseTargets,
    query: Int64[Tensor, "L B M"],
    posed: Bool[Tensor, "L B M"],
    config: PoseConfig,
) -> dict[str, Tensor]:
    """Terms of matched queries only: the refined keypoints and the expected OKS.

    Only the people that are there are computed, end to end; a padded batch would be mostly empty.
    """
    layer, image, person = posed.nonzero(as_tuple=True)
    chosen = query[layer, image, person]
    share = 1 / shared_count(posed.flatten(1).sum(1))[layer]
    of = (image, person)
    truth = Pairs(
        boxes=predictions.boxes[layer, image, chosen],
        points=predictions.points[layer, image, chosen],
        true_boxes=targets.boxes[of],
        true_points=targets.points[of],
        known=targets.known[of],
        areas=targets.areas[of],
        sigmas=targets.sigmas[of],
        scale=predictions.scale,
    )
    terms = {}
    windows = predictions.windows_of(layer, image, chosen)
    if windows is not None:
        pairs = replace(truth, points=windows.points[:, 0])
        refined = config.loss_keypoint * pairs.keypoint_distance() + config.loss_oks * (1 - pairs.oks())
        terms["refined"] = (refined * share).sum()
        assert predictions.heat is not None
        terms["dense"] = config.loss_dense * dense_loss(predictions.heat, targets, predictions.canvas)
        heatmap = windows.loss(pairs.true_points[:, None])[:, 0]
        terms["heatmap"] = config.loss_heatmap * _mean_by_layer(heatmap, pairs.known, layer, len(posed))
        truth = pairs
    expected = replace(truth, points=truth.points.detach()).oks()
    quality = predictions.quality[layer, image, chosen]
    entropy = F.binary_cross_entropy_with_logits(quality, expected, reduction="none")
    return terms | {"quality": config.loss_quality * (entropy * share).sum()}


def _denoising_losses(
    reading: Reading, targets: PoseTargets, scale: Float[Tensor, " 2"], config: PoseConfig
) -> dict[str, Float[Tensor, ""]]:
    """Boxes and keypoints read from boxes near people; see ``mtvit_core.denoising``."""
    boxes, offsets = reading.of(noised_boxes(targets.boxes))
    people = torch.arange(targets.valid.shape[1], device=boxes.device).repeat_interleave(NOISED)
    owner = people.expand(boxes.shape[:3])
    pairs = _pairs(boxes, points_in(boxes, offsets), targets, owner, scale)
    keypoints = config.loss_keypoint * pairs.keypoint_distance() + config.loss_oks * (1 - pairs.oks())
    return {
        "denoising_box": noised_box_loss(boxes, targets.boxes, noised_weight(targets.valid)),
        "denoising_keypoint": (keypoints * noised_weight(targets.posed)).sum(),
    }


def _mean_by_layer(
    values: Float[Tensor, "P K"], mask: Bool[Tensor, "P K"], layer: Int64[Tensor, " P"], layers: int
) -> Float[Tensor, ""]:
    """Mean over what the mask keeps, per layer; summed over layers."""
    number = torch.zeros(layers, dtype=values.dtype, device=values.device)
    number = shared_count(number.index_add(0, layer, mask.sum(-1).to(values.dtype)))
    return ((values * mask).sum(-1) / number[layer]).sum()


def _class_loss(predictions: PosePredictions, targets: PoseTargets, match: Match) -> Float[Tensor, ""]:
    logits = predictions.logits
    queries, classes = logits.shape[2:]
    chosen = match.scatter(targets.classes[None], queries, classes)
    truth = F.one_hot(chosen, classes + 1)[..., :-1].to(logits.dtype)
    loss = sigmoid_focal(logits, truth) * (targets.labelled[:, None] & targets.annotated)[None, :, None]
    return loss.sum() / shared_count(targets.valid.sum())


@torch.no_grad()
def _owners(
    predictions: PosePredictions, targets: PoseTargets, match: Match, one_to_many: bool
) -> tuple[Int64[Tensor, "L B Q"], Bool[Tensor, "L B Q"]]:
    """Whose box and keypoints each query learns, and whether it learns any."""
    queries = predictions.boxes.shape[2]
    people = torch.arange(targets.valid.shape[1], device=targets.valid.device)
    chosen = match.scatter(people[None, None], queries, -1)
    if not one_to_many:
        return chosen.clamp(min=0), chosen >= 0
    picked = predictions.pick.picked_boxes[:, :, None].expand(-1, -1, len(people), -1)
    overlap = box_iou(cxcywh_to_xyxy(picked), cxcywh_to_xyxy(targets.boxes[:, None].expand_as(picked)))
    best, nearest = (overlap * targets.valid[:, None]).max(-1)
    return torch.where(chosen >= 0, chosen, nearest), (chosen >= 0) | (best > ON_PERSON)


def _of_owner(values: Tensor, owner: Int64[Tensor, "L B P"]) -> Tensor:
    """Rows of B M ... by owner, L B P ...."""
    return values[torch.arange(values.shape[0], device=values.device)[None, :, None], owner]


def _pairs(
    boxes: Float[Tensor, "L B P 4"],
    points: Float[Tensor, "L B P K 2"],
    targets: PoseTargets,
    owner: Int64[Tensor, "L B P"],
    scale: Float[Tensor, " 2"],
) -> Pairs:
    return Pairs(
        boxes=boxes,
        points=points,
        true_boxes=_of_owner(targets.boxes, owner),
        true_points=_of_owner(targets.points, owner),
        known=_of_owner(targets.known, owner),
        areas=_of_owner(targets.areas, owner),
        sigmas=_of_owner(targets.sigmas, owner),
        scale=scale,
    )


def _every_pair(predictions: PosePredictions, targets: PoseTargets) -> Pairs:
    """Each query beside each person, L B Q M, without copies."""
    layers, images, queries, keypoints = predictions.points.shape[:4]
    shape = (layers, images, queries, targets.valid.shape[1])
    return Pairs(
        boxes=predictions.boxes[:, :, :, None].expand(*shape, 4),
        points=predictions.points[:, :, :, None].expand(*shape, keypoints, 2),
        true_boxes=targets.boxes[None, :, None].expand(*shape, 4),
        true_points=targets.points[None, :, None].expand(*shape, keypoints, 2),
        known=targets.known[None, :, None].expand(*shape, keypoints),
        areas=targets.areas[None, :, None].expand(shape),
        sigmas=targets.sigmas[None, :, None].expand(*shape, keypoints),
        scale=predictions.scale,
    )


def _mean(values: Float[Tensor, "*any"], mask: Bool[Tensor, "*any"]) -> Float[Tensor, ""]:
    """Mean over what the mask keeps, per layer; summed over layers."""
    return ((values * mask).flatten(1).sum(1) / shared_count(mask.flatten(1).sum(1))).sum()
