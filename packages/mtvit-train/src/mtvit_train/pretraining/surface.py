"""Surfaces: windows of unlabelled images, magnified, or tiled by mirrors.

    magnified   x -> z x + s,  z < 1: what is in the window fills it
    mirrored    x -> h tri(x / 4h) + s: a small window of half side h repeats, each time mirrored

Either way what the window shows is a texture and no longer an object of its usual size, so that a network
which is to find pasted figures does not learn to pass over real ones.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class SurfaceKind:
    """How windows are drawn.

    Attributes:
        mirrored: Share of the windows that are tiled by mirrors.
        zoom: Least and largest side of a magnified window, relative to the image.
    """

    mirrored: float
    zoom: tuple[float, float]


#: What lies behind the figures, and what they are filled with.
BACKGROUND = SurfaceKind(0.65, (0.12, 0.3))
FILLING = SurfaceKind(0.5, (0.1, 0.35))
#: Least and largest side of a mirrored window, relative to the image.
TILE = (0.1, 0.3)


def draw_surfaces(
    images: UInt8[Tensor, "I 3 H W"], count: int, kind: SurfaceKind
) -> Float[Tensor, "B 3 H W"]:
    """Draw random windows of random images in full size, transposed at random, with shifted colours.

    Args:
        images: Where the windows come from.
        count: Windows B.
        kind: How they are drawn.

    Returns:
        Values around 0 to 255; shifted colours may lie outside.
    """
    size = images.shape[-1]
    chosen = images[torch.randint(len(images), (count,))].float()
    mirrored = torch.rand(count, 1) < kind.mirrored
    zoom = torch.empty(count, 1).uniform_(*kind.zoom)
    half = torch.where(mirrored, torch.empty(count, 1).uniform_(*TILE), zoom)
    pace = torch.where(mirrored, torch.empty(count, 1).uniform_(-0.5, 0.35).exp(), zoom)
    x = _places(size, pace, half, mirrored)[:, None, :].expand(-1, size, -1)
    y = _places(size, pace, half, mirrored)[:, :, None].expand(-1, -1, size)
    turned = torch.rand(count, 1, 1) < 0.5
    grid = torch.stack([torch.where(turned, x, y), torch.where(turned, y, x)], -1)
    window: Tensor = F.grid_sample(chosen, grid, padding_mode="reflection", align_corners=False)
    gain, shift = torch.empty(2, count, 3, 1, 1).uniform_(-1, 1).unbind()
    return window * (1 + 0.3 * gain) + 40 * shift


def _places(
    size: int, pace: Float[Tensor, "B 1"], half: Float[Tensor, "B 1"], mirrored: Tensor
) -> Float[Tensor, "B W"]:
    """Where each column (or row) reads the image, in [-1, 1]."""
    axis = ((torch.arange(size) + 0.5) / size * 2 - 1)[None]
    run = (axis + 2 * torch.rand(len(pace), 1)) * pace / (4 * half)
    triangle = ((run % 1.0) * 4 - 2).abs() - 1
    inside: Tensor = torch.where(mirrored, triangle * half, axis * pace)
    return inside + (1 - half) * torch.empty(len(pace), 1).uniform_(-1, 1)
