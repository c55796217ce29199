"""One class for every pixel, by square windows along the image, as EoMT evaluates (Kerssies et al. 2025).

The short side is resized to the side S of the canvas. Along the long side l, n = ceil(l / S) windows overlap
evenly: window j starts at floor(j (l - S) / (n - 1)). Scores of overlapping windows are averaged, resized to
the original, and the best class wins.
"""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.framing import ImageMeta
from mtvit_seg.decoding.resize import BUDGET
from mtvit_seg.decoding.semantic import best_class, semantic_scores


def window_starts(length: int, side: int) -> list[int]:
    """Return where the windows start that cover a length evenly.

    Args:
        length: Pixels to cover, at least ``side``.
        side: Pixels of a window.
    """
    gaps = -(-length // side) - 1
    return [j * (length - side) // gaps for j in range(gaps + 1)] if gaps else [0]


def semantic_map(model: MultiTaskViT, image: UInt8[Tensor, "3 H W"]) -> Int64[Tensor, "H W"]:
    """Return the label of every pixel of one image.

    Args:
        model: A model with the task ``seg`` and a square canvas.
        image: RGB, 0 to 255.

    Raises:
        ConfigError: the canvas is not square.
    """
    side, columns = model.canvases["image"]
    if side != columns:
        raise ConfigError(
            f"semantic windows: the canvas is {side} x {columns}; windows are square, so build the model "
            "with a square canvas."
        )
    height, width = int(image.shape[-2]), int(image.shape[-1])
    size = (round(height * side / min(height, width)), round(width * side / min(height, width)))
    resized = vision.resize(image, list(size), antialias=True)
    down, along = (window_starts(length, side) for length in size)
    corners = [(top, left) for top in down for left in along]
    windows = torch.stack([resized[:, y : y + side, x : x + side] for y, x in corners])
    with evaluating(model):
        scores = _averaged(model, windows, corners, size)
        meta = ImageMeta(height, width, size, (width / size[1], 0.0, 0.0, 0.0, height / size[0], 0.0))
        return best_class(scores, meta, BUDGET)


def _averaged(
    model: MultiTaskViT, windows: Tensor, corners: list[tuple[int, int]], size: tuple[int, int]
) -> Float[Tensor, "C H W"]:
    """Scores of every class, one window at a time; the mean where several see a pixel."""
    side = windows.shape[-1]
    total = torch.zeros(len(model.categories), *size, device=model.device)
    seen = torch.zeros(size, device=model.device)
    for window, (y, x) in zip(windows, corners, strict=True):
        place = (slice(y, y + side), slice(x, x + side))
        total[:, *place] += semantic_scores(model(window[None], "image")["seg"], 0)
        seen[place] += 1
    return total / seen
