"""Crops of one person, by the unbiased affine of UDP (Huang et al. 2020), as ViTPose was trained.

    roi     centre of the box, sides grown to the canvas's aspect and by 1.25
    crop    u = (W - 1) / roi_w * (cos a (x - c_x) - sin a (y - c_y) + roi_w / 2), v likewise with roi_h and H

The rule ``msra`` is that of SimpleBaseline's code (Xiao et al. 2018): the same roi, a pixel of which is
roi_w / W wide, so that u = 0 is on its left edge and u = W on its right one.

The rule ``centred`` is that of TokenPose's code (Li et al. 2021): a box holds its last pixel, its centre is
(x0 + x1 - 1) / 2, and both axes have one scale, (W - 1) / (roi_w - 1).

Unlike whole images, crops count in pixel centres: u = 0 and u = W - 1 are the centres of the first and last
column, and the roi's edges fall on them. Keypoints keep the numbers of the data set's files on both sides.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.errors import ShapeError
from mtvit_core.structures.framing import Affine, ImageMeta

#: How a crop lies around a box.
CropRule = Literal["udp", "centred", "msra"]
#: How much larger than the box a crop is.
PADDING = 1.25


@dataclass(frozen=True)
class Roi:
    """The part of an image that a crop shows, in original pixels.

    Attributes:
        x: Column of the centre.
        y: Row of the centre.
        width: Columns shown.
        height: Rows shown.
        angle: Radians by which the crop turns the image clockwise, rows pointing down.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def to_original(self, canvas: tuple[int, int]) -> Affine:
        """Return the affine map from crop to original pixel centres.

        Args:
            canvas: Rows H and columns W of the crop, at least 2 each.
        """
        along, down = self.width / (canvas[1] - 1), self.height / (canvas[0] - 1)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        half_width, half_height = self.width / 2, self.height / 2
        return (
            cos * along,
            sin * down,
            self.x - cos * half_width - sin * half_height,
            -sin * along,
            cos * down,
            self.y + sin * half_width - cos * half_height,
        )


def person_roi(
    box: tuple[float, float, float, float],
    canvas: tuple[int, int],
    padding: float = PADDING,
    rule: CropRule = "udp",
) -> Roi:
    """Grow a person's box to the aspect of the canvas, then by ``padding``.

    Args:
        box: x0 y0 x1 y1 in original pixels; one less than a pixel wide and high counts as a pixel wide.
        canvas: Rows H and columns W of the crop.
        padding: Factor on both sides.
        rule: ``udp``, ``centred`` or ``msra``.

    Raises:
        ShapeError: the box is reversed or not finite.
    """
    x0, y0, x1, y1 = box
    if not (math.isfinite(sum(box)) and x0 <= x1 and y0 <= y1):
        raise ShapeError(
            f"person crop: the box {box} is not x0 y0 x1 y1 with x0 <= x1 and y0 <= y1, all finite."
        )
    aspect = canvas[1] / canvas[0]
    width = max(x1 - x0, (y1 - y0) * aspect, 1.0)
    if rule == "centred":
        shown = max(width * padding - 1, 1.0)
        return Roi((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, shown, shown * (canvas[0] - 1) / (canvas[1] - 1))
    x, y, across, down = (x0 + x1) / 2, (y0 + y1) / 2, width * padding, width / aspect * padding
    if rule == "msra":  # from the centre of the first pixel, on the left edge, to that of the last one
        pixel = across / canvas[1]
        return Roi(x - pixel / 2, y - pixel / 2, across - pixel, down - pixel)
    return Roi(x, y, across, down)


def person_meta(
    box: tuple[float, float, float, float],
    height: int,
    width: int,
    canvas: tuple[int, int],
    padding: float = PADDING,
    rule: CropRule = "udp",
) -> ImageMeta:
    """Return where the crop of a person lies.

    Args:
        box: x0 y0 x1 y1 in original pixels.
        height: Rows of the original image.
        width: Columns of the original image.
        canvas: Rows H and columns W of the crop.
        padding: How much larger than the box the crop is.
        rule: How it lies around the box.

    Raises:
        ShapeError: the box is reversed or not finite.
    """
    roi = person_roi(box, canvas, padding, rule)
    return ImageMeta(height, width, canvas, roi.to_original(canvas), box=box)


def crop_person(
    image: UInt8[Tensor, "3 H W"], meta: ImageMeta, canvas: tuple[int, int]
) -> UInt8[Tensor, "3 H2 W2"]:
    """Cut a crop out of an image, bilinear, zero outside of it.

    Args:
        image: The original image, RGB.
        meta: Where the crop lies.
        canvas: Rows H and columns W of the crop.
    """
    v, u = torch.meshgrid(torch.arange(canvas[0]), torch.arange(canvas[1]), indexing="ij")
    centres = meta.points_to_original(torch.stack([u, v], -1).double())
    # grid_sample's [-1, 1] spans the outer edges of the border pixels.
    grid = (2 * centres + 1) / torch.tensor([image.shape[-1], image.shape[-2]]) - 1
    crop = F.grid_sample(image[None].float(), grid[None].float(), padding_mode="zeros", align_corners=False)[
        0
    ]
    return crop.round().clamp(0, 255).to(torch.uint8)


def points_to_crop(points: Float[Tensor, "*any 2"], meta: ImageMeta) -> Float[Tensor, "*any 2"]:
    """Map x y points from the original image to the crop, unclipped."""
    a, b, c, d, e, f = meta.to_original
    forward = torch.tensor([[a, d], [b, e]], dtype=torch.float64)
    shift = torch.tensor([c, f], dtype=torch.float64)
    inverse: Tensor = torch.linalg.inv(forward)
    return ((points.double() - shift) @ inverse).to(points.dtype)
