"""Mask values at points instead of pixels (Kirillov et al. 2020, PointRend; Cheng et al. 2022, section 3.3).

Points are x y in [0, 1] relative to the canvas. Values are bilinear, and zero past the border.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

#: Draws P points for each of T masks, uniformly.
Draw = Callable[[int], Float[Tensor, "T P 2"]]


class Sampling(NamedTuple):
    """How many points a mask loss takes.

    Attributes:
        points: Points per mask P.
        oversample: Points drawn for each one kept by uncertainty.
        importance: Share kept by uncertainty.
    """

    points: int
    oversample: float
    importance: float


def at_points(maps: Float[Tensor, "T A h w"], points: Float[Tensor, "T S P 2"]) -> Float[Tensor, "T A S P"]:
    """Read maps at points.

    Args:
        maps: A maps in each of T groups.
        points: S sets of points for each group.
    """
    return F.grid_sample(maps, 2 * points - 1, mode="bilinear", padding_mode="zeros", align_corners=False)


@torch.no_grad()
def uncertain_points(
    logits: Float[Tensor, "T h w"], sampling: Sampling, draw: Draw
) -> Float[Tensor, "T P 2"]:
    """Draw points for each mask, most of them where the logit is nearest to zero.

    Args:
        logits: Predicted masks.
        sampling: How many.
        draw: Where they come from.

    Returns:
        First the uncertain points, then uniform ones.
    """
    kept = int(sampling.importance * sampling.points)
    drawn = draw(int(sampling.points * sampling.oversample))
    certainty = at_points(logits[:, None], drawn[:, None])[:, 0, 0].abs()
    nearest = certainty.topk(kept, 1, largest=False).indices
    chosen = drawn.gather(1, nearest[..., None].expand(-1, -1, 2))
    return torch.cat([chosen, draw(sampling.points - kept)], 1)
