"""Images to compare a model with its export where nobody gives any."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.image_files import find_images, read_image


def generated_images(count: int, canvas: tuple[int, int]) -> list[UInt8[Tensor, "3 _ _"]]:
    """Return blurred noise with rectangles, the same at every call, in turn upright, wide and of the canvas.

    Args:
        count: How many.
        canvas: Rows and columns of the canvas that they will be shown on.
    """
    draw = torch.Generator().manual_seed(0)
    rows, columns = canvas
    sizes = [(rows, columns), (rows, max(16, columns * 3 // 4)), (max(16, rows * 2 // 3), columns)]
    images = []
    for i in range(count):
        height, width = sizes[i % 3]
        noise = 255 * torch.rand(1, 3, 12, 12, generator=draw)
        image = F.interpolate(noise, size=(height, width), mode="bilinear")[0]
        for _ in range(8):
            y, x = (int(side * torch.rand((), generator=draw)) for side in (height, width))
            h, w = (8 + int(side / 2 * torch.rand((), generator=draw)) for side in (height, width))
            image[:, y : y + h, x : x + w] = 255 * torch.rand(3, 1, 1, generator=draw)
        images.append(image.round().to(torch.uint8))
    return images


def images_of(folder: Path | None, count: int, canvas: tuple[int, int]) -> Sequence[Tensor]:
    """Return the first images of a folder, or generated ones.

    Args:
        folder: The folder; None for generated ones.
        count: Most of them.
        canvas: As for ``generated_images``.

    Raises:
        DataError: the folder holds no image, or one cannot be read.
    """
    if folder is None:
        return generated_images(count, canvas)
    return [read_image(path) for path in find_images([folder])[:count]]
