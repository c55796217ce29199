"""Letterboxing as tensor operations, so that a graph takes images of any size.

Resizing is two products with matrices that follow from the size of the image: no runtime has to know what
``antialias`` means, and OpenVINO's and TensorRT's resizing does not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.framing import Letterbox, Resample
from mtvit_core.tasks.task import View


@dataclass(frozen=True)
class Letterboxed:
    """Images on a canvas.

    Attributes:
        canvases: The canvases.
        content: Rows and columns of the canvas, from its top left, that hold an image.
        size: Rows and columns of the images.
    """

    canvases: UInt8[Tensor, "B 3 R C"]
    content: Int64[Tensor, "2"]
    size: Int64[Tensor, "2"]

    @property
    def scale(self) -> Float[Tensor, "2"]:
        """Pixels of the image to a pixel of the canvas, along x and y."""
        return (self.size.float() / self.content.float()).flip(0)


def letterbox_of(model: MultiTaskViT, view: View) -> Letterbox:
    """Return how a graph brings images of any size onto the canvas of a model.

    Raises:
        ConfigError: the view is of crops, or pixels are found by the nearest one, which is no weighted mean.
    """
    if view == "person":
        raise ConfigError(
            "export: the tasks of this model see crops of people, which are cut by their boxes; leave "
            "--letterbox out."
        )
    if model.framing.resample not in _FILTERS:
        raise ConfigError(
            "export: this model resizes images by the nearest pixel, which a graph does not do; leave "
            "--letterbox out, and resize outside."
        )
    return Letterbox(*model.canvases[view], model.framing.resample)


def letterboxed(images: UInt8[Tensor, "B 3 H W"], framing: Letterbox) -> Letterboxed:
    """Put images of one size on a canvas, as ``Letterbox.apply`` does.

    Args:
        images: Images; H and W may be unknown while a graph is captured.
        framing: The canvas, and how pixels are found.
    """
    # Sizes as tensors: they are numbers of the graph, not of the images that it is captured with.
    each = [torch.scalar_tensor(side, dtype=torch.int64) for side in images.shape[-2:]]
    size = torch.stack(each).to(images.device)
    content = _content(size, framing)
    across = shares(images.shape[3], content[1], framing.width, framing.resample)
    down = shares(images.shape[2], content[0], framing.height, framing.resample)
    narrow = _pixels(images.float() @ across.T)
    return Letterboxed(_pixels(down @ narrow).to(torch.uint8), content, size)


def _content(size: Int64[Tensor, "2"], framing: Letterbox) -> Int64[Tensor, "2"]:
    """``structures.canvases.fitted``, of tensors."""
    height, width = size
    rows, columns = framing.height, framing.width
    wide = columns * height <= rows * width
    above = torch.where(wide, columns, rows)
    below = torch.where(wide, width, height)
    part = 2 * size * above + below
    whole = part // (2 * below)
    rest = part - whole * 2 * below
    tie = (rest == 0) & (whole - whole // 2 * 2 == 1)
    return (whole - tie.to(torch.int64)).clamp(min=1).minimum(size.new_tensor([rows, columns]))


def shares(
    length: int | torch.SymInt, content: Int64[Tensor, ""], pixels: int, resample: Resample
) -> Float[Tensor, "pixels length"]:
    """Return what each pixel of an image gives to each of the canvas, along one side; nothing to padding.

    Args:
        length: Pixels of the image.
        content: Pixels of the canvas that show it, the first ones.
        pixels: All pixels of the canvas.
        resample: How pixels are found.
    """
    scale: Tensor = length / content.to(torch.float32)  # type: ignore[assignment]  # length may be symbolic
    centre = (torch.arange(pixels, device=content.device) + 0.5) * scale
    place = torch.arange(length, device=content.device) + 0.5
    near = ((place[None] - centre[:, None]) / scale.clamp(min=1)).abs()
    weights = _FILTERS[resample](near)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    return torch.where(torch.arange(pixels, device=content.device)[:, None] < content, weights, 0.0)


def _triangle(near: Tensor) -> Tensor:
    return (1 - near).clamp(min=0)


def _cubic(near: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5, that of antialiased resizing in pillow and torchvision."""
    inner = (1.5 * near - 2.5) * near * near + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    return torch.where(near < 1, inner, torch.where(near < 2, outer, 0.0))


_FILTERS: dict[Resample, Callable[[Tensor], Tensor]] = {"bilinear": _triangle, "bicubic": _cubic}


def _pixels(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)
