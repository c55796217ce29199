"""Matching costs of masks; those of classes and boxes are in ``mtvit_core.losses.matching_costs``.

For query q, object m and points p, with prediction x and truth t:

    mask    BCE_qm = mean_p softplus(x_qp) - x_qp t_mp
    dice    1 - (2 sum_p s(x_qp) t_mp + 1) / (sum_p s(x_qp) + sum_p t_mp + 1)

Source: Cheng et al. 2022, section 3.3; its points are uniform and shared by all pairs of an image.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_seg.losses.points import at_points
from mtvit_seg.losses.targets import SegTargets, map_size


def pair_entropy(logits: Float[Tensor, "L B Q P"], truth: Float[Tensor, "B M P"]) -> Float[Tensor, "L B Q M"]:
    """Mean binary cross-entropy of every pair."""
    with torch.autocast(logits.device.type, enabled=False):
        agreement = torch.einsum("lbqp,bmp->lbqm", logits, truth)
        return (F.softplus(logits).sum(-1)[..., None] - agreement) / logits.shape[-1]


def pair_dice(logits: Float[Tensor, "L B Q P"], truth: Float[Tensor, "B M P"]) -> Float[Tensor, "L B Q M"]:
    """Dice loss of every pair."""
    with torch.autocast(logits.device.type, enabled=False):
        inside = logits.sigmoid()
        overlap = torch.einsum("lbqp,bmp->lbqm", inside, truth)
        total = inside.sum(-1)[..., None] + truth.sum(-1)[None, :, None, :]
        return 1 - (2 * overlap + 1) / (total + 1)


def dense_values(masks: Float[Tensor, "L B Q h w"], targets: SegTargets) -> tuple[Tensor, Tensor]:
    """Predicted logits L B Q P and true coverage B M P at every pixel of the mask map."""
    return masks.flatten(3), targets.padded(targets.on_map(map_size(masks)).flatten(1))


def point_values(
    masks: Float[Tensor, "L B Q h w"], targets: SegTargets, points: Float[Tensor, "B P 2"]
) -> tuple[Tensor, Tensor]:
    """Predicted logits L B Q P and true values B M P at given points of each image."""
    layers, images, queries = masks.shape[:3]
    maps = masks.transpose(0, 1).reshape(images, layers * queries, *masks.shape[3:])
    values = at_points(maps, points[:, None])[:, :, 0]
    logits = values.view(images, layers, queries, -1).transpose(0, 1)
    truth = at_points(targets.masks[:, None].to(masks.dtype), points[targets.image][:, None])[:, 0, 0]
    return logits, targets.padded(truth)
