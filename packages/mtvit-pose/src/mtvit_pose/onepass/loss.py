"""Matching cost and losses of the one-pass head.

Each person is matched to one query per layer; that query alone learns to say "person". Box and keypoints are
learned also by the other queries picked on the person (one-to-many): most of the signal when steps are few.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.heads.proposals import proposal_loss
from mtvit_core.losses.classification import sigmoid_focal
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.denoising import noised_losses
from mtvit_pose.onepass.dense_heatmaps import dense_loss
from mtvit_pose.onepass.head import PosePredictions
from mtvit_pose.onepass.pairs import every_pair, of_owner, single, with_owners
from mtvit_pose.onepass.targets import PoseTargets

#: Overlap of its picked box with a person from which an unmatched query learns that person's pose.
ON_PERSON = 0.3


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
    pairs = every_pair(predictions, targets)
    cost = cost + config.cost_l1 * pairs.box_distance() + config.cost_giou * (1 - pairs.giou())
    pose = config.cost_keypoint * pairs.keypoint_distance() + config.cost_oks * (1 - pairs.oks())
    return cost + pose * targets.posed[None, :, None]


def pose_losses(
    predictions: PosePredictions, targets: PoseTargets, match: Match, config: PoseConfig
) -> dict[str, Tensor]:
    """Weighted loss terms: means over people (class: sums over queries per person), summed over layers."""
    owner, taught = _owners(predictions, targets, match, config.one_to_many)
    pairs = with_owners(predictions.boxes, predictions.points, targets, owner, predictions.scale)
    posed = taught & pairs.known.any(-1)
    matched = match.matched & targets.valid
    exists = of_owner(targets.exists, owner) & posed[..., None]
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
        noised = noised_losses(predictions.reading, targets, predictions.scale, config)
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
    chosen = (layer, image, query[layer, image, person])
    share = 1 / shared_count(posed.flatten(1).sum(1))[layer]
    pairs = single(predictions, targets, chosen, person)
    terms = {}
    windows = predictions.windows_of(*chosen)
    if windows is not None:
        pairs = replace(pairs, points=windows.points[:, 0])
        terms["refined"] = (pairs.keypoint_error(config) * share).sum()
        assert predictions.heat is not None
        terms["dense"] = config.loss_dense * dense_loss(predictions.heat, targets, predictions.canvas)
        heatmap = windows.loss(pairs.true_points[:, None])[:, 0]
        terms["heatmap"] = config.loss_heatmap * _mean_by_layer(heatmap, pairs.known, layer, len(posed))
    expected = replace(pairs, points=pairs.points.detach()).oks()
    entropy = F.binary_cross_entropy_with_logits(predictions.quality[chosen], expected, reduction="none")
    return terms | {"quality": config.loss_quality * (entropy * share).sum()}


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


def _mean(values: Float[Tensor, "*any"], mask: Bool[Tensor, "*any"]) -> Float[Tensor, ""]:
    """Mean over what the mask keeps, per layer; summed over layers."""
    return ((values * mask).flatten(1).sum(1) / shared_count(mask.flatten(1).sum(1))).sum()
