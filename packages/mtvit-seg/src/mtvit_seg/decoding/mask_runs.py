"""Masks as runs of pixels down the columns of their image: area, box, sums and COCO's encoding follow."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from mtvit_core.structures.masks import Rle, compress_runs
from mtvit_seg.decoding.mask_sheet import Sheet


@dataclass(frozen=True)
class Runs:
    """Runs of the masks on a sheet, in its order.

    Attributes:
        mask: Which mask each run belongs to.
        column: Its column in the image.
        first: Its first row.
        stop: The row after its last.
        begin: Where it begins on the sheet.
        masks: Number of masks M, with or without pixels.
        size: Rows and columns of the image.
    """

    mask: Int64[ndarray, " runs"]
    column: Int64[ndarray, " runs"]
    first: Int64[ndarray, " runs"]
    stop: Int64[ndarray, " runs"]
    begin: Int64[ndarray, " runs"]
    masks: int
    size: tuple[int, int]

    @property
    def areas(self) -> Int64[ndarray, " M"]:
        """Number of pixels of each mask."""
        return np.bincount(self.mask, self.stop - self.first, self.masks).astype(np.int64)

    def sums(self, values: Float32[ndarray, " P"]) -> Float32[ndarray, " M"]:
        """Sum of the values that the pixels of each mask have on the sheet."""
        ends = np.stack([self.begin, self.begin + self.stop - self.first], 1).ravel()
        of_runs = np.add.reduceat(values, ends)[::2] if len(ends) else np.zeros(0)
        return np.bincount(self.mask, of_runs, self.masks).astype(np.float32)

    @property
    def boxes(self) -> Float32[ndarray, "M 4"]:
        """Tight boxes x0 y0 x1 y1 in pixels, on pixel edges; zeros for masks without a pixel."""
        boxes = np.zeros((self.masks, 4), np.float32)
        mask, start = np.unique(self.mask, return_index=True)
        if len(mask):
            last = np.append(start[1:], len(self.mask)) - 1
            top, bottom = np.minimum.reduceat(self.first, start), np.maximum.reduceat(self.stop, start)
            boxes[mask] = np.stack([self.column[start], top, self.column[last] + 1, bottom], 1)
        return boxes

    def to_rles(self) -> list[Rle | None]:
        """Compress as COCO does; None for masks without a pixel."""
        height, width = self.size
        start, stop = self.column * height + self.first, self.column * height + self.stop
        # A run that reaches the bottom of the image goes on at the top of the next column.
        goes_on = np.flatnonzero((start[1:] == stop[:-1]) & (self.mask[1:] == self.mask[:-1]))
        start, stop = np.delete(start, goes_on + 1), np.delete(stop, goes_on)
        found, count = np.unique(np.delete(self.mask, goes_on), return_counts=True)
        behind = np.cumsum(count)
        # Edges of a mask: 0, its starts and stops, and the end of the image where background is before it.
        # One mask's last edge and the next one's 0 are inserted at the same place, in this order.
        is_open = stop[behind - 1] < height * width
        places = np.concatenate([2 * behind[is_open], 2 * (behind - count)])
        values = np.repeat([height * width, 0], [is_open.sum(), len(count)])
        lengths = np.diff(np.insert(np.stack([start, stop], 1).ravel(), places, values))
        # Edges rise within a mask, and fall to the 0 of the next.
        texts = compress_runs(lengths[lengths >= 0], 2 * count + is_open)
        rles: list[Rle | None] = [None] * self.masks
        for i, text in zip(found.tolist(), texts, strict=True):
            rles[i] = Rle(self.size, text)
        return rles


def find_runs(sheet: Sheet, threshold: float, size: tuple[int, int]) -> Runs:
    """Find the runs of the masks on a sheet; the work grows with the sheet, not with the image.

    Args:
        sheet: The masks.
        threshold: Logit that the pixels of a mask exceed.
        size: Rows and columns of the image.
    """
    inside = sheet.logits.numpy() > threshold
    # With background before the first column and behind each, starts and stops take turns.
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    begin, end = edges[::2], edges[1::2]
    mask = np.searchsorted(sheet.start, begin, side="right") - 1
    column, row = np.divmod(begin - sheet.start[mask], sheet.place.height[mask] + 1)
    first = row + sheet.place.top[mask]
    return Runs(
        mask, column + sheet.place.left[mask], first, first + end - begin, begin, len(sheet.place.top), size
    )
