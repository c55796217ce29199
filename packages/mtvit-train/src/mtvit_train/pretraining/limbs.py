"""Random figures with limbs: a tree of four to eight rounded bars, often with a round end.

Joint j hangs on an earlier one, at a random angle and distance; every bar has a number of its own, so that it
can be painted in a colour of its own.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

#: Most bars of a figure; one more than this are its joints.
BARS = 8
#: Least and largest side of a figure relative to the image.
_SIDE = (0.16, 0.5)


@dataclass(frozen=True)
class Figures:
    """Drawn figures.

    Attributes:
        bar: Which bar each pixel shows, from 1; 0 outside.
        joints: Ends of the bars, relative to the image; -1 where there is none.
    """

    bar: Int64[Tensor, "B H W"]
    joints: Float[Tensor, "B K 2"]


def draw_figures(count: int, size: int) -> Figures:
    """Draw one figure per image."""
    parent, joints = _tree(count)
    number = torch.randint(4, BARS + 1, (count,))
    exists = torch.arange(BARS + 1) <= number[:, None]
    side = torch.empty(count).uniform_(*(math.log(s) for s in _SIDE)).exp()
    joints = _place(joints, exists, side)
    thickness = (torch.empty(count, BARS + 1).uniform_(0.05, 0.14) * side[:, None]).clamp(min=0.012)
    bar = torch.zeros(count, size, size, dtype=torch.int64)
    for j in range(1, BARS + 1):
        start = joints.gather(1, parent[:, j, None, None].expand(-1, 1, 2))[:, 0]
        near = _distance(start, joints[:, j], size) < thickness[:, j, None, None]
        bar = torch.where(near & exists[:, j, None, None], j, bar)
    tip = joints.gather(1, number[:, None, None].expand(-1, 1, 2))[:, 0]
    radius = torch.empty(count).uniform_(0.1, 0.2) * side * (torch.rand(count) < 0.7)
    bar = torch.where(_distance(tip, tip, size) < radius[:, None, None], 1, bar)
    return Figures(bar, torch.where(exists[..., None], joints, -1.0))


def _tree(count: int) -> tuple[Int64[Tensor, "B K"], Float[Tensor, "B K 2"]]:
    """Parent and place of every joint; a chain is commoner than a star."""
    length = torch.empty(count, BARS + 1, 1).uniform_(0.15, 0.4)
    angle = torch.rand(count, BARS + 1) * 2 * math.pi
    step = length * torch.stack([angle.cos(), angle.sin()], -1)
    parents, joints = [torch.zeros(count, dtype=torch.int64)], [torch.zeros(count, 2)]
    for j in range(1, BARS + 1):
        parent = torch.where(torch.rand(count) < 0.45, j - 1, (torch.rand(count) * j).long())
        known = torch.stack(joints, 1)
        joints.append(known.gather(1, parent[:, None, None].expand(-1, 1, 2))[:, 0] + step[:, j])
        parents.append(parent)
    return torch.stack(parents, 1), torch.stack(joints, 1)


def _place(joints: Float[Tensor, "B K 2"], exists: Tensor, side: Float[Tensor, " B"]) -> Tensor:
    """Scale the joints that exist to a longer side, and put them at a random place."""
    low = joints.masked_fill(~exists[..., None], math.inf).amin(1)
    high = joints.masked_fill(~exists[..., None], -math.inf).amax(1)
    scale = side / (high - low).amax(1)
    centre = torch.empty(len(joints), 1, 2).uniform_(0.15, 0.85)
    return (joints - (low + high)[:, None] / 2) * scale[:, None, None] + centre


def _distance(a: Float[Tensor, "B 2"], b: Float[Tensor, "B 2"], size: int) -> Float[Tensor, "B H W"]:
    """Distance of every pixel to the segment from a to b."""
    axis = (torch.arange(size) + 0.5) / size
    along = b - a
    x, y = axis[None, None, :] - a[:, 0, None, None], axis[None, :, None] - a[:, 1, None, None]
    dx, dy = along[:, 0, None, None], along[:, 1, None, None]
    share = ((x * dx + y * dy) / (dx.square() + dy.square()).clamp(min=1e-6)).clamp(0, 1)
    return ((x - share * dx).square() + (y - share * dy).square()).sqrt()
