"""Dense heatmaps of all people at once, which teach the patches what each keypoint looks like.

    target  q = max over people of exp(-|p - mu|^2 / (2 s^2)),  s = max(1 cell, 0.08 of the person's size)
    loss    quality focal loss towards q, weighted by w, summed over the map / labelled keypoints
    weight  w = 1; w = q where nobody said that the keypoint is not there

After PETR's auxiliary heatmap branch (Shi et al. 2022, section 3.4).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.losses.classification import quality_focal
from mtvit_core.losses.global_batch import shared_count
from mtvit_pose.onepass.targets import PoseTargets

#: Deviation of a target, as a share of the square root of the person's box area.
SPREAD = 0.08


@torch.no_grad()
def dense_targets(
    targets: PoseTargets, shape: tuple[int, int], canvas: tuple[int, int]
) -> Float[Tensor, "B K h w"]:
    """Draw the labelled keypoints of all people of each image.

    Args:
        targets: People.
        shape: Rows h and columns w of the heatmap.
        canvas: Rows H and columns W.
    """
    (rows, columns), (height, width) = shape, canvas
    cells = targets.points * targets.points.new_tensor([columns, rows]) - 0.5
    pixels = targets.boxes[..., 2:] * targets.boxes.new_tensor([width, height])
    spread = (SPREAD * pixels.prod(-1).sqrt() * columns / width).clamp(min=1)
    row = torch.arange(rows, device=cells.device)
    column = torch.arange(columns, device=cells.device)
    heat = cells.new_zeros(*targets.known.shape[::2], rows, columns)
    # One person at a time: all at once would need M times the memory.
    for cell, sigma, known in zip(cells.unbind(1), spread.unbind(1), targets.known.unbind(1), strict=True):
        s = 2 * sigma[:, None, None] ** 2
        x = torch.exp(-((column - cell[..., 0, None]) ** 2) / s) * known[..., None]
        y = torch.exp(-((row - cell[..., 1, None]) ** 2) / s)
        heat = torch.maximum(heat, y[..., :, None] * x[..., None, :])
    return heat


@torch.no_grad()
def dense_weights(targets: PoseTargets, truth: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K h w"]:
    """How much each place of the heatmaps counts.

    A place is no evidence against a keypoint inside the box of a person of whom that keypoint is unknown, nor
    anywhere in an image where a category that has it is not annotated.

    Args:
        targets: People.
        truth: Their heatmaps.
    """
    rows, columns = truth.shape[2:]
    y = (torch.arange(rows, device=truth.device) + 0.5) / rows
    x = (torch.arange(columns, device=truth.device) + 0.5) / columns
    silent = targets.hidden[..., None, None].expand_as(truth).clone()
    for box, unknown in zip(targets.boxes.unbind(1), targets.unknown.unbind(1), strict=True):
        cx, cy, width, height = box[..., None].unbind(1)
        down, across = (y - cy).abs() <= height / 2, (x - cx).abs() <= width / 2
        silent |= unknown[..., None, None] & (down[..., :, None] & across[..., None, :])[:, None]
    return torch.where(silent, truth, 1.0)


def dense_loss(
    heat: Float[Tensor, "L B K h w"], targets: PoseTargets, canvas: tuple[int, int]
) -> Float[Tensor, ""]:
    """Quality focal loss per labelled keypoint, summed over layers; unlabelled images give none."""
    truth = dense_targets(targets, (heat.shape[3], heat.shape[4]), canvas)
    weight = dense_weights(targets, truth) * targets.labelled[:, None, None, None]
    loss = quality_focal(heat, truth.expand_as(heat)) * weight
    return loss.sum() / shared_count(targets.known.sum())
