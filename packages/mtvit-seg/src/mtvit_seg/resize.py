"""Mask logits at the size of the original image.

The way is mask map -> canvas -> cut off the padding -> original, bilinear. Each step is separable and linear,
so the whole way is one matrix per axis: y = R x C^T. A pixel of y is a weighted mean of a few of x, and
exceeds a threshold only if one of them does: a mask needs work only near where it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.geometry import ImageMeta
from mtvit_seg.extent import span_boxes

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

    @classmethod
    def of(cls, weights: Float[Tensor, "h H"]) -> "Axis":
        """Find where the weights are."""
        used = weights.T.numpy() > 0
        return cls(weights.T.contiguous(), used.argmax(1), used.shape[1] - 1 - used[:, ::-1].argmax(1))

    def reached(self, start: Int64[ndarray, " Q"], stop: Int64[ndarray, " Q"]) -> tuple[list[int], list[int]]:
        """Ranges of original pixels that ranges of map pixels reach, first and past the last."""
        low, high = np.searchsorted(self.last, start), np.searchsorted(self.first, stop - 1, side="right")
        return low.tolist(), high.tolist()

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
    rows, columns = meta.content
    # The way of single lines: one line per pixel of the map that is 1 there and 0 elsewhere.
    lines = F.interpolate(torch.eye(size[0])[None, :, :, None], size=(canvas[0], 1), mode="bilinear")[0]
    down = replace(meta, width=1, content=(rows, 1)).masks_to_original(lines)[:, :, 0]
    lines = F.interpolate(torch.eye(size[1])[None, :, None, :], size=(1, canvas[1]), mode="bilinear")[0]
    along = replace(meta, height=1, content=(1, columns)).masks_to_original(lines)[:, 0, :]
    return Axis.of(down), Axis.of(along)


@dataclass(frozen=True)
class Crop:
    """A part of a mask at original size, column by column; all of the mask above the threshold lies in it.

    Attributes:
        logits: The part.
        inside: Where they exceed the threshold.
        top: Row of the original image where it starts.
        left: Column of the original image where it starts.
    """

    logits: Float[ndarray, "W H"]
    inside: Bool[ndarray, "W H"]
    top: int
    left: int


def crops(
    logits: Float[Tensor, "Q h w"],
    chosen: Sequence[int],
    canvas: tuple[int, int],
    meta: ImageMeta,
    threshold: float,
) -> Iterator[Crop]:
    """Resize masks on the CPU, each only where it may exceed the threshold.

    Args:
        logits: Masks of one image.
        chosen: Those that are wanted.
        canvas: Rows and columns of the canvas.
        meta: The original image.
        threshold: Logit that the pixels of a mask exceed.

    Yields:
        One crop per chosen mask; empty where no pixel of the map exceeds the threshold.
    """
    logits = logits.detach().float().cpu()
    rows, columns = axes((logits.shape[1], logits.shape[2]), canvas, meta)
    boxes = span_boxes(logits.amax(1) > threshold, logits.amax(2) > threshold)
    x0, y0, x1, y1 = boxes.long().T.numpy()
    found = (x1 > x0).tolist()
    ranges = list(zip(*rows.reached(y0, y1), *columns.reached(x0, x1), strict=True))
    for query in chosen:
        top, bottom, left, right = ranges[query]
        if not found[query] or top >= bottom or left >= right:
            yield Crop(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.bool_), 0, 0)
            continue
        (down, from_rows), (along, from_columns) = rows.part(top, bottom), columns.part(left, right)
        # Products by torch: numpy's start threads of their own, which get in the way of torch's.
        part = (along @ (down @ logits[query, from_rows, from_columns]).T).numpy()
        yield Crop(part, part > threshold, top, left)
