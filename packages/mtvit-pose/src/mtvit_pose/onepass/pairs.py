"""Predicted people beside true ones: the distances and overlaps of costs and losses."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.boxes import cxcywh_to_xyxy, generalized_box_iou
from mtvit_pose.config import PoseConfig
from mtvit_pose.oks import masked_mean, oks
from mtvit_pose.onepass.head import PosePredictions
from mtvit_pose.onepass.targets import PoseTargets


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

    def keypoint_error(self, config: PoseConfig) -> Float[Tensor, "*any"]:
        """Weighted distance of the keypoints and 1 - OKS."""
        return config.loss_keypoint * self.keypoint_distance() + config.loss_oks * (1 - self.oks())


def with_owners(
    boxes: Float[Tensor, "L B P 4"],
    points: Float[Tensor, "L B P K 2"],
    targets: PoseTargets,
    owner: Int64[Tensor, "L B P"],
    scale: Float[Tensor, " 2"],
) -> Pairs:
    """Each pose beside the person that owns it, L B P."""
    return Pairs(
        boxes=boxes,
        points=points,
        true_boxes=of_owner(targets.boxes, owner),
        true_points=of_owner(targets.points, owner),
        known=of_owner(targets.known, owner),
        areas=of_owner(targets.areas, owner),
        sigmas=of_owner(targets.sigmas, owner),
        scale=scale,
    )


def of_owner(values: Tensor, owner: Int64[Tensor, "L B P"]) -> Tensor:
    """Rows of B M ... by owner, L B P ...."""
    return values[torch.arange(values.shape[0], device=values.device)[None, :, None], owner]


def single(
    predictions: PosePredictions,
    targets: PoseTargets,
    query: tuple[Int64[Tensor, " P"], Int64[Tensor, " P"], Int64[Tensor, " P"]],
    person: Int64[Tensor, " P"],
) -> Pairs:
    """Single queries, given by layer, image and number, each beside a person of its image, end to end."""
    of = (query[1], person)
    return Pairs(
        boxes=predictions.boxes[query],
        points=predictions.points[query],
        true_boxes=targets.boxes[of],
        true_points=targets.points[of],
        known=targets.known[of],
        areas=targets.areas[of],
        sigmas=targets.sigmas[of],
        scale=predictions.scale,
    )


def every_pair(predictions: PosePredictions, targets: PoseTargets) -> Pairs:
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
