"""From keypoints on a crop to heatmaps and back, by the rules of the method that a head comes from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.structures.canvases.crops import CropRule
from mtvit_pose.topdown.dark import decode_dark, whole_map_targets
from mtvit_pose.topdown.heatmap import decode_heatmaps, heatmap_stride, heatmap_targets
from mtvit_pose.topdown.msra import SHIFT, decode_quarter, rounded_targets


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a heatmap lie on its crop: ``crop = origin + stride * map``, in x and y.

    Attributes:
        stride: Crop pixels per heatmap pixel.
        origin: Crop pixel of heatmap pixel (0, 0).
    """

    stride: Float[Tensor, " 2"]
    origin: Float[Tensor, " 2"]

    def to_crop(self, points: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 2"]:
        """Map heatmap to crop pixels."""
        return self.origin.to(points) + self.stride.to(points) * points

    def to_map(self, points: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 2"]:
        """Map crop to heatmap pixels."""
        return (points - self.origin.to(points)) / self.stride.to(points)


def udp_grid(shape: tuple[int, int], canvas: tuple[int, int]) -> Grid:
    """Let the corner pixels of map and crop coincide (Huang et al. 2020).

    Args:
        shape: Rows h and columns w of the heatmap.
        canvas: Rows H and columns W of the crop.
    """
    return Grid(heatmap_stride(shape, canvas), torch.zeros(2))


def centred_grid(shape: tuple[int, int], canvas: tuple[int, int]) -> Grid:
    """Let the centres coincide, at the same stride in x and y, that of x (TokenPose's code).

    Args:
        shape: Rows h and columns w of the heatmap.
        canvas: Rows H and columns W of the crop.
    """
    stride = (canvas[1] - 1) / (shape[1] - 1)
    return Grid(torch.full((2,), stride), torch.tensor([0.0, (canvas[0] - 1 - stride * (shape[0] - 1)) / 2]))


def whole_grid(shape: tuple[int, int], canvas: tuple[int, int]) -> Grid:
    """Let the first pixels coincide, a pixel of the map as large as its part of the crop (Xiao et al. 2018).

    Args:
        shape: Rows h and columns w of the heatmap.
        canvas: Rows H and columns W of the crop.
    """
    return Grid(torch.tensor([canvas[1] / shape[1], canvas[0] / shape[0]]), torch.zeros(2))


@dataclass(frozen=True)
class Codec:
    """The rules of one method.

    Attributes:
        crop: How a crop lies around its box.
        grid: Heatmap and crop size to the grid.
        targets: Keypoints in heatmap pixels and its size to maps, and which keypoints count.
        decode: Maps to keypoints in heatmap pixels, and their scores.
        shift: Columns by which maps of mirrored crops move right once they are turned back; the first ones
            stay.
    """

    crop: CropRule
    grid: Callable[[tuple[int, int], tuple[int, int]], Grid]
    targets: Callable[
        [Float[Tensor, "B K 2"], tuple[int, int]], tuple[Float[Tensor, "B K h w"], Bool[Tensor, "B K"]]
    ]
    decode: Callable[[Float[Tensor, "B K h w"]], tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]]
    shift: int = 0

    def turned_back(self, mirrored: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K h w"]:
        """Return maps of mirrored crops as they lie on the crops themselves."""
        back = mirrored.flip(-1)
        return torch.cat([back[..., : self.shift], back[..., : back.shape[-1] - self.shift]], -1)


UDP = Codec("udp", udp_grid, heatmap_targets, decode_heatmaps)
MSRA = Codec("msra", whole_grid, rounded_targets, decode_quarter, SHIFT)
TOKENPOSE = Codec("centred", centred_grid, whole_map_targets, decode_dark)
