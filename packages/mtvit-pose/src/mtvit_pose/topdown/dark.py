"""Heatmaps as TokenPose and DARK have them, where they differ from ViTPose's (see ``heatmap``).

    target   exp(-|p - mu|^2 / (2 sigma^2)) on the whole map
    decode   argmax p, then p - H^-1 grad of the log of the map, blurred with zeros around it and brought back
             to its old maximum; second differences over two pixels; none within two pixels of the border

Sources: DARK, Zhang et al. 2020, eq. 7 and its code, which TokenPose (Li et al. 2021) takes over.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_pose.topdown.heatmap import BLUR, RADIUS, SIGMA, gaussian_kernel

#: Least value before the logarithm.
FLOOR = 1e-10


def whole_map_targets(
    mu: Float[Tensor, "B K 2"], shape: tuple[int, int]
) -> tuple[Float[Tensor, "B K h w"], Bool[Tensor, "B K"]]:
    """Draw a Gaussian of peak 1 around every keypoint.

    Args:
        mu: x, y in heatmap pixels.
        shape: Rows h and columns w.

    Returns:
        The maps, and whether what lies within 3 sigma of a keypoint touches its map.
    """
    rows, columns = shape
    size = mu.new_tensor([columns, rows])
    on_map = (((mu - RADIUS).trunc() < size) & ((mu + RADIUS + 1).trunc() >= 0)).all(-1)
    x = torch.arange(columns, device=mu.device) - mu[..., 0, None]
    y = torch.arange(rows, device=mu.device) - mu[..., 1, None]
    return torch.exp(-(x[..., None, :] ** 2 + y[..., :, None] ** 2) / (2 * SIGMA**2)), on_map


def decode_dark(
    heatmaps: Float[Tensor, "B K h w"],
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Locate the peak of every map to a fraction of a pixel.

    Returns:
        x, y in heatmap pixels, (0, 0) where no value is positive; and the peak values.
    """
    rows, columns = heatmaps.shape[-2:]
    scores, index = heatmaps.flatten(2).max(-1)
    x, y = index % columns, index // columns
    inside = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
    step = _taylor_step(_log_blurred(heatmaps.double()), x, y)
    points = torch.stack([x, y], -1) + torch.where(inside[..., None], step, 0.0)
    return torch.where((scores > 0)[..., None], points, 0.0).to(heatmaps.dtype), scores


def _log_blurred(heatmaps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K h w"]:
    kernel = gaussian_kernel(heatmaps)
    maps, half = heatmaps.flatten(0, 1)[:, None], BLUR // 2
    maps = F.conv2d(maps, kernel[None, None, None], padding=(0, half))
    maps = F.conv2d(maps, kernel[None, None, :, None], padding=(half, 0)).view(heatmaps.shape)
    ratio = heatmaps.amax((2, 3), keepdim=True) / maps.amax((2, 3), keepdim=True)
    return (maps * ratio).clamp(min=FLOOR).log()


def _taylor_step(field: Float[Tensor, "B K h w"], x: Tensor, y: Tensor) -> Float[Tensor, "B K 2"]:
    """Return -H^-1 grad at x, y; meaningless within two pixels of the border."""
    columns = field.shape[-1] + 4
    flat = F.pad(field, [2] * 4, mode="replicate").flatten(2)
    centre = (y + 2) * columns + x + 2

    def at(dx: int, dy: int) -> Tensor:
        return flat.gather(2, (centre + dy * columns + dx)[..., None])[..., 0]

    here = at(0, 0)
    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    xx, yy = (at(2, 0) - 2 * here + at(-2, 0)) / 4, (at(0, 2) - 2 * here + at(0, -2)) / 4
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = (xx * yy - xy**2)[..., None]
    step = -torch.stack([yy * dx - xy * dy, xx * dy - xy * dx], -1)
    return torch.where(determinant == 0, 0.0, step / determinant)
