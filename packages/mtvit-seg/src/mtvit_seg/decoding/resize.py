"""Mask logits at the size of the original image.

The way is mask map -> canvas -> cut off the padding -> original, bilinear. Each step is separable and linear,
so the whole way is one matrix per axis: y = R x C^T. A pixel of y is a weighted mean of a few of x, and
exceeds a threshold only if one of them does: a mask needs work only near where it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.framing import ImageMeta

#: Bytes that upscaled masks of one image may take at a time.
BUDGET = 64 * 2**20


def at_original(
    logits: Float[Tensor, "Q h w"], canvas: tuple[int, int], meta: ImageMeta, budget: int = BUDGET
) -> Iterator[Float[Tensor, "Q H W"]]:
    """Resize whole masks, as many at a time as the budget allows.

    Args:
        logits: Masks of one image.
        canvas: Rows and columns of the canvas.
        meta: The original image.
        budget: Bytes that the resized masks of one step may take; at least one mask is done.

    Yields:
        Consecutive masks at original size.
    """
    bytes_each = 4 * (canvas[0] * canvas[1] + meta.height * meta.width)
    for part in torch.split(logits, max(1, budget // bytes_each)):
        on_canvas = F.interpolate(part[None], size=canvas, mode="bilinear", align_corners=False)[0]
        yield meta.masks_to_original(on_canvas)


@dataclass(frozen=True)
class Axis:
    """The way of one axis from the mask map to the original image.

    Attributes:
        weights: Share of every map pixel in every original pixel.
        first: First map pixel that an original pixel is made of; never falls.
        last: Last map pixel that an original pixel is made of; never falls.
    """

    weights: Float[Tensor, "H h"]
    first: Int64[ndarray, " H"]
    last: Int64[ndarray, " H"]

    def reached(
        self, start: Int64[ndarray, " Q"], stop: Int64[ndarray, " Q"]
    ) -> tuple[Int64[ndarray, " Q"], Int64[ndarray, " Q"]]:
        """Ranges of original pixels that ranges of map pixels reach, first and past the last."""
        return np.searchsorted(self.last, start), np.searchsorted(self.first, stop - 1, side="right")

    def part(self, start: int, stop: int) -> tuple[Float[Tensor, "H h"], slice]:
        """Weights of a range of original pixels, and the map pixels they read."""
        source = slice(int(self.first[start]), int(self.last[stop - 1]) + 1)
        return self.weights[start:stop, source], source


def axes(size: tuple[int, int], canvas: tuple[int, int], meta: ImageMeta) -> tuple[Axis, Axis]:
    """Return rows and columns of the way from a mask map to an original image.

    Args:
        size: Rows and columns of the map.
        canvas: Rows and columns of the canvas.
        meta: The original image.
    """
    lengths = (meta.height, meta.width)
    rows, columns = map(_axis, size, canvas, meta.content, lengths)
    return rows, columns


@lru_cache(maxsize=8)  # images of a data set or a video share few lengths
def _axis(pixels: int, canvas: int, content: int, length: int) -> Axis:
    # The way of single lines: one line per pixel of the map that is 1 there and 0 elsewhere.
    lines = F.interpolate(torch.eye(pixels)[None, :, :, None], size=(canvas, 1), mode="bilinear")[0]
    way = replace(ImageMeta.whole(length, 1), content=(content, 1))
    weights = way.masks_to_original(lines)[:, :, 0].T.contiguous()
    used = weights.numpy() > 0
    return Axis(weights, used.argmax(1), used.shape[1] - 1 - used[:, ::-1].argmax(1))
