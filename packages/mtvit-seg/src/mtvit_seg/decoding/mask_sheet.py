"""Masks of one image at original size, each only where it may be, laid one behind the other.

What is done to every pixel, and to every run of pixels, is then done to many masks at once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from mtvit_core.structures.framing import ImageMeta
from mtvit_seg.decoding.extent import span_boxes
from mtvit_seg.decoding.resize import Axis, axes

#: Most pixels of a sheet (4 MiB in fp32), unless one mask alone has more.
PIXELS = 2**20


@dataclass(frozen=True)
class Place:
    """Where in the original image parts of masks lie; a part without pixels has no rows and no columns.

    Attributes:
        top: First row of each.
        left: First column.
        height: Rows.
        width: Columns.
    """

    top: Int64[ndarray, " M"]
    left: Int64[ndarray, " M"]
    height: Int64[ndarray, " M"]
    width: Int64[ndarray, " M"]

    def __getitem__(self, masks: slice) -> "Place":
        """Return the places of some of the masks."""
        return Place(self.top[masks], self.left[masks], self.height[masks], self.width[masks])

    @property
    def pixels(self) -> Int64[ndarray, " M"]:
        """Pixels of each part on a sheet: its own, and one of background behind each column."""
        return np.asarray(self.width * (self.height + 1))


@dataclass(frozen=True)
class Sheet:
    """Parts of masks; all of each mask above the threshold lies in its part.

    A part lies column by column, with a pixel of background behind each column; one more comes before the
    first part.

    Attributes:
        logits: Every pixel, minus infinity for background.
        place: Where the parts are from.
        start: Where on the sheet each part starts, and where the last one ends.
    """

    logits: Float[Tensor, " P"]
    place: Place
    start: Int64[ndarray, " starts"]


def sheets(
    logits: Float[Tensor, "Q h w"],
    chosen: Sequence[int],
    canvas: tuple[int, int],
    meta: ImageMeta,
    threshold: float,
    pixels: int = PIXELS,
) -> Iterator[Sheet]:
    """Resize masks on the CPU, each only where it may exceed the threshold.

    Args:
        logits: Masks of one image.
        chosen: Those that are wanted.
        canvas: Rows and columns of the canvas.
        meta: The original image.
        threshold: Logit that the pixels of a mask exceed.
        pixels: Most pixels of a sheet; at least one mask is on it.

    Yields:
        The chosen masks, as many on a sheet as it holds.
    """
    logits = logits.detach().float().cpu()
    rows, columns = axes((logits.shape[1], logits.shape[2]), canvas, meta)
    boxes = span_boxes(logits.amax(1) > threshold, logits.amax(2) > threshold)
    place = _reached(boxes[list(chosen)], rows, columns)
    for part in _parted(place.pixels, pixels):
        yield _sheet(logits, chosen[part], place[part], rows, columns)


def _reached(boxes: Float[Tensor, "M 4"], rows: Axis, columns: Axis) -> Place:
    """Where masks may exceed the threshold that exceed it in these boxes of the map."""
    x0, y0, x1, y1 = boxes.long().T.numpy()
    (top, bottom), (left, right) = rows.reached(y0, y1), columns.reached(x0, x1)
    found = (x1 > x0) & (bottom > top) & (right > left)
    return Place(top, left, found * (bottom - top), found * (right - left))


def _parted(sizes: Int64[ndarray, " M"], most: int) -> list[slice]:
    """Ranges of consecutive masks of at most so many pixels together, or of one mask."""
    cuts, total = [0], 0
    for i, size in enumerate(sizes.tolist()):
        if total and total + size > most:
            cuts.append(i)
            total = 0
        total += size
    return [slice(*ends) for ends in itertools.pairwise([*cuts, len(sizes)])]


def _sheet(
    logits: Float[Tensor, "Q h w"], chosen: Sequence[int], place: Place, rows: Axis, columns: Axis
) -> Sheet:
    start = 1 + np.concatenate([[0], np.cumsum(place.pixels)])
    sheet = torch.full((int(start[-1]),), -torch.inf)
    each = [values.tolist() for values in (start[:-1], place.top, place.left, place.height, place.width)]
    for query, begin, top, left, height, width in zip(chosen, *each, strict=True):
        if not width:
            continue
        down, from_rows = rows.part(top, top + height)
        along, from_columns = columns.part(left, left + width)
        part = sheet[begin : begin + width * (height + 1)].view(width, height + 1)[:, :-1]
        # Products by torch: numpy's start threads of their own, which get in the way of torch's.
        torch.mm(along, (down @ logits[query, from_rows, from_columns]).T, out=part)
    return Sheet(sheet, place, start)
