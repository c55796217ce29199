"""Keypoint heatmaps: Gaussian targets, their loss, and the way back to coordinates.

    stride   (W - 1) / (w - 1) and (H - 1) / (h - 1): both grids count in pixel centres
    target   exp(-|p - mu|^2 / (2 sigma^2)) within 3 sigma of the nearest pixel, sigma = 2, mu not rounded
    loss     mean over keypoints of mean over crops and pixels of (w pred - w target)^2
    decode   argmax, then one Newton step on the log of the blurred map

Sources: UDP, Huang et al. 2020; DARK, Zhang et al. 2020, eq. 7; both as ViTPose's code has them.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

SIGMA = 2.0
#: Pixels of a target on each side of its nearest pixel.
RADIUS = 6
#: Blur before the Newton step: side of the kernel, and the deviation OpenCV derives from it,
#: 0.3 ((11 - 1) / 2 - 1) + 0.8.
BLUR, BLUR_SIGMA = 11, 2.0


def heatmap_stride(shape: tuple[int, int], canvas: tuple[int, int]) -> Float[Tensor, " 2"]:
    """Return crop pixels per heatmap pixel, in x and y.

    Args:
        shape: Rows h and columns w of the heatmap.
        canvas: Rows H and columns W of the crop.
    """
    return torch.tensor([(canvas[1] - 1) / (shape[1] - 1), (canvas[0] - 1) / (shape[0] - 1)])


def heatmap_targets(
    mu: Float[Tensor, "B K 2"], shape: tuple[int, int]
) -> tuple[Float[Tensor, "B K h w"], Bool[Tensor, "B K"]]:
    """Draw a Gaussian of peak 1 around every keypoint.

    Args:
        mu: x, y in heatmap pixels.
        shape: Rows h and columns w.

    Returns:
        The maps, and whether a keypoint's patch touches its map; truncation and limits are ViTPose's.
    """
    return gaussians(mu, nearest_pixel(mu), shape)


def nearest_pixel(mu: Float[Tensor, "B K 2"]) -> Float[Tensor, "B K 2"]:
    """Return the pixel that keypoints are in, rounded towards zero as ViTPose's code does."""
    return (mu + 0.5).trunc()


def gaussians(
    mu: Float[Tensor, "B K 2"], nearest: Float[Tensor, "B K 2"], shape: tuple[int, int]
) -> tuple[Float[Tensor, "B K h w"], Bool[Tensor, "B K"]]:
    """Draw Gaussians of peak 1.

    Args:
        mu: Their centres x, y in heatmap pixels.
        nearest: The middle pixel of the patch that each is cut to.
        shape: Rows h and columns w.

    Returns:
        The maps, and whether a patch touches its map.
    """
    rows, columns = shape
    size = mu.new_tensor([columns, rows])
    on_map = ((nearest + RADIUS + 1 >= 0) & (nearest - RADIUS < size)).all(-1)
    x = _gaussian(mu[..., 0, None], nearest[..., 0, None], columns)
    y = _gaussian(mu[..., 1, None], nearest[..., 1, None], rows)
    return y[..., :, None] * x[..., None, :], on_map


def _gaussian(mu: Tensor, nearest: Tensor, count: int) -> Tensor:
    pixel = torch.arange(count, device=mu.device, dtype=mu.dtype)
    return torch.exp(-((pixel - mu) ** 2) / (2 * SIGMA**2)) * ((pixel - nearest).abs() <= RADIUS)


def joints_mse(
    heatmaps: Float[Tensor, "B K h w"], targets: Float[Tensor, "B K h w"], weights: Float[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """Mean squared error of weighted maps; keypoints of weight 0 still count in the mean, as in ViTPose."""
    return (weights[..., None, None] * (heatmaps - targets)).square().mean()


def decode_heatmaps(
    heatmaps: Float[Tensor, "B K h w"],
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """Locate the peak of every map to a fraction of a pixel.

    Returns:
        x, y in heatmap pixels, (-1, -1) where no value is positive; and the peak values.
    """
    columns = heatmaps.shape[-1]
    scores, index = heatmaps.flatten(2).max(-1)
    peak = torch.stack([index % columns, index // columns], -1)
    points = peak + _newton_step(_log_blurred(heatmaps.double()), peak)
    return torch.where((scores > 0)[..., None], points, -1.0).to(heatmaps.dtype), scores


def gaussian_kernel(like: Tensor) -> Float[Tensor, " _"]:
    """Return the kernel of the blur before the Newton step, on the device and in the type of ``like``."""
    offset = torch.arange(BLUR, device=like.device, dtype=like.dtype) - BLUR // 2
    kernel = torch.exp(-(offset**2) / (2 * BLUR_SIGMA**2))
    return kernel / kernel.sum()


def _log_blurred(heatmaps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K h w"]:
    kernel = gaussian_kernel(heatmaps)
    maps = F.pad(heatmaps.flatten(0, 1)[:, None], [BLUR // 2] * 4, mode="reflect")
    maps = F.conv2d(F.conv2d(maps, kernel[None, None, None]), kernel[None, None, :, None])
    return maps.view(heatmaps.shape).clamp(0.001, 50).log()


def _newton_step(field: Float[Tensor, "B K h w"], peak: Tensor) -> Float[Tensor, "B K 2"]:
    """Return -H^-1 grad of each map at its peak, from the eight neighbours; the border repeats outwards."""
    columns = field.shape[-1] + 2
    flat = F.pad(field, [1] * 4, mode="replicate").flatten(2)
    centre = (peak[..., 1] + 1) * columns + peak[..., 0] + 1

    def at(dx: int, dy: int) -> Tensor:
        return flat.gather(2, (centre + dy * columns + dx)[..., None])[..., 0]

    here = at(0, 0)
    gradient = torch.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], -1) / 2
    xx, yy = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    xy = (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1)) / 2
    # Keeps a flat map from dividing by zero; so does the test of the determinant.
    xx, yy = xx + torch.finfo(torch.float32).eps, yy + torch.finfo(torch.float32).eps
    determinant = (xx * yy - xy**2)[..., None]
    dx, dy = gradient.unbind(-1)
    step = -torch.stack([yy * dx - xy * dy, xx * dy - xy * dx], -1)
    return torch.where(determinant == 0, 0.0, step / determinant)
