"""Heatmaps as SimpleBaseline has them (Xiao et al. 2018), and ViTPose's code where it does without UDP.

target   exp(-|p - m|^2 / (2 sigma^2)) within 3 sigma of m, the pixel nearest to the keypoint
decode   argmax p, then a quarter of a pixel towards the larger neighbour in x and in y
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_pose.topdown.heatmap import gaussians, nearest_pixel

QUARTER = 0.25
#: Columns by which a map of the mirrored crop moves right once it is turned back: its pixels are four wide
#: on the crop and count from the first one, so what is mirrored lies three quarters of a pixel too far left.
SHIFT = 1


def rounded_targets(
    mu: Float[Tensor, "B K 2"], shape: tuple[int, int]
) -> tuple[Float[Tensor, "B K h w"], Bool[Tensor, "B K"]]:
    """Draw a Gaussian of peak 1 around the pixel nearest to every keypoint.

    Args:
        mu: x, y in heatmap pixels.
        shape: Rows h and columns w.

    Returns:
        The maps, and whether a keypoint's patch touches its map.
    """
    nearest = nearest_pixel(mu)
    return gaussians(nearest, nearest, shape)


def decode_quarter(
    heatmaps: Float[Tensor, "B K h w"],
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Locate the peak of every map to a quarter of a pixel.

    Returns:
        x, y in heatmap pixels, (-1, -1) where no value is positive; and the peak values.
    """
    rows, columns = heatmaps.shape[-2:]
    scores, index = heatmaps.flatten(2).max(-1)
    x, y = index % columns, index // columns
    flat = F.pad(heatmaps, [1] * 4).flatten(2)
    centre = (y + 1) * (columns + 2) + x + 1

    def at(dx: int, dy: int) -> Tensor:
        return flat.gather(2, (centre + dy * (columns + 2) + dx)[..., None])[..., 0]

    slope = torch.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], -1)
    inside = (x > 1) & (x < columns - 1) & (y > 1) & (y < rows - 1)
    points = torch.stack([x, y], -1) + QUARTER * slope.sign() * inside[..., None]
    return torch.where((scores > 0)[..., None], points, -1.0), scores
