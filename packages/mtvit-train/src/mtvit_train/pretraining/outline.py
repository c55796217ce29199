"""Random outlines that a centre sees whole, as their radius over the angle.

    waves     r(t) = 1 + sum_k a_k cos(k t + f_k), k = 2..7, one wave stronger than the others
    polygons  3 to 12 corners, evenly spread or not, every other one drawn in or not
    spectrum  |FFT(r / mean r)|_k, k = 1..8, and the width of the hole: the same however the outline is turned

Source of the spectrum: Zahn and Roskies 1972 (Fourier descriptors of plane closed curves).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Angles at which a radius is kept.
ANGLES = 64
#: Numbers that describe an outline.
SPECTRUM = 9
_CORNERS = 12
#: Least and largest radius relative to the image: figures of about 1/8 to 1/2 of its side.
_RADIUS = (1 / 15, 1 / 3.6)


@dataclass(frozen=True)
class Outlines:
    """Drawn outlines.

    Attributes:
        inside: The pixels of each.
        rim: The outer seventh of them, as seen from the centre.
        spectrum: What describes the outline wherever it lies and however it is turned.
    """

    inside: Bool[Tensor, "B H W"]
    rim: Bool[Tensor, "B H W"]
    spectrum: Float[Tensor, "B O"]


def draw_outlines(count: int, size: int) -> Outlines:
    """Draw one outline per image, turned, squeezed and placed at random, some with a hole."""
    radii = torch.where(torch.rand(count, 1) < 0.55, _polygons(count), _waves(count))
    radii = radii / radii.amax(1, keepdim=True)
    largest = torch.empty(count, 1, 1).uniform_(*(math.log(r) for r in _RADIUS)).exp()
    centre = torch.empty(2, count, 1, 1).uniform_(0.08, 0.92)
    squeeze = (torch.empty(count, 1, 1).uniform_(-0.35, 0) * (torch.rand(count, 1, 1) < 0.7)).exp()
    turn, start = torch.rand(2, count, 1, 1) * 2 * math.pi
    axis = (torch.arange(size) + 0.5) / size
    x, y = axis[None, None, :] - centre[0], axis[None, :, None] - centre[1]
    u, v = x * turn.cos() + y * turn.sin(), (y * turn.cos() - x * turn.sin()) / squeeze
    limit = largest * _at_angle(radii, torch.atan2(v, u) - start)
    share = (u.square() + v.square()).sqrt() / limit
    hole = torch.where(torch.rand(count) < 0.15, torch.empty(count).uniform_(0.35, 0.7), 0.0)
    waves = torch.fft.rfft(radii / radii.mean(1, keepdim=True), dim=1).abs()[:, 1:SPECTRUM] * (4 / ANGLES)
    return Outlines(
        inside=(share < 1) & (share >= hole[:, None, None]),
        rim=share > 0.86,
        spectrum=torch.cat([waves, 2 * hole[:, None]], 1),
    )


def _at_angle(radii: Float[Tensor, "B S"], angle: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W"]:
    """Radius at any angle, between the two nearest of the table."""
    place = (angle % (2 * math.pi)) * (ANGLES / (2 * math.pi))
    before = place.floor().long().flatten(1) % ANGLES
    share = (place - place.floor()).flatten(1)
    radius = radii.gather(1, before) * (1 - share) + radii.gather(1, (before + 1) % ANGLES) * share
    return radius.view_as(angle)


def _waves(count: int) -> Float[Tensor, "B S"]:
    angle, k = torch.arange(ANGLES) * (2 * math.pi / ANGLES), torch.arange(2, 8).float()
    height = torch.randn(count, len(k)) * (0.35 / k)
    strong = (torch.rand(count) < 0.6) * torch.empty(count).uniform_(0.05, 0.45)
    height.scatter_add_(1, torch.randint(len(k), (count, 1)), strong[:, None])
    phase = torch.rand(count, len(k), 1) * 2 * math.pi
    radii = 1 + (height[..., None] * (k[:, None] * angle + phase).cos()).sum(1)
    discs = torch.rand(count, 1) < 0.12
    return torch.where(discs, 1.0, radii.clamp(0.3, 1.8))


def _polygons(count: int) -> Float[Tensor, "B S"]:
    number = torch.randint(3, _CORNERS + 1, (count, 1))
    index = torch.arange(_CORNERS).expand(count, -1)
    even = torch.rand(count, 1) < 0.5
    wander = torch.where(even, 0.0, 0.25 * torch.randn(count, _CORNERS))
    radius = torch.where(even, 1.0, torch.empty(count, _CORNERS).uniform_(0.5, 1.2))
    drawn_in = (torch.rand(count, 1) < 0.5) & (number % 2 == 0) & (index % 2 == 1)
    radius = radius * torch.where(drawn_in, torch.empty(count, 1).uniform_(0.35, 1.0), 1.0)
    corner = ((index + wander) * (2 * math.pi) / number) % (2 * math.pi)
    # Corners that do not exist sort behind all others.
    corner, order = torch.where(index < number, corner, math.inf).sort(1)
    return _between_corners(corner, radius.gather(1, order), number)


def _between_corners(corner: Tensor, radius: Tensor, number: Tensor) -> Float[Tensor, "B S"]:
    """Radius at which each ray meets the straight edge between the corners left and right of it."""
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    after = (corner[:, :, None] <= angle).sum(1) % number
    before = (after - 1) % number
    x1, y1 = _point(corner.gather(1, before), radius.gather(1, before))
    x2, y2 = _point(corner.gather(1, after), radius.gather(1, after))
    across = angle.cos() * (y2 - y1) - angle.sin() * (x2 - x1)
    safe = torch.where(across.abs() < 1e-3, 1e-3, across)
    return ((x1 * (y2 - y1) - y1 * (x2 - x1)) / safe).clamp(0.15, 1.4)


def _point(angle: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    return radius * angle.cos(), radius * angle.sin()
