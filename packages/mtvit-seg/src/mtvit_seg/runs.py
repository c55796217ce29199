"""A mask as runs of pixels down the columns of its image: area, box and COCO's encoding follow from them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from mtvit_core.masks import Rle, counts_to_rle


@dataclass(frozen=True)
class Runs:
    """A mask with at least one pixel.

    Attributes:
        column: Column of each run.
        first: Its first row.
        stop: The row after its last.
        size: Rows and columns of the image.
    """

    column: Int64[ndarray, " runs"]
    first: Int64[ndarray, " runs"]
    stop: Int64[ndarray, " runs"]
    size: tuple[int, int]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.stop - self.first).sum())

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Tight box x0 y0 x1 y1 in pixels, on pixel edges."""
        left, right = self.column[0], self.column[-1] + 1
        return float(left), float(self.first.min()), float(right), float(self.stop.max())

    def to_rle(self) -> Rle:
        """Compress as COCO does."""
        height, width = self.size
        start, stop = self.column * height + self.first, self.column * height + self.stop
        # A run that reaches the bottom of the image goes on at the top of the next column.
        goes_on = np.flatnonzero(start[1:] == stop[:-1])
        if len(goes_on):
            start, stop = np.delete(start, goes_on + 1), np.delete(stop, goes_on)
        counts = np.empty(2 * len(start) + 1, dtype=np.int64)
        counts[0], counts[2:-1:2], counts[-1] = start[0], start[1:] - stop[:-1], height * width - stop[-1]
        counts[1::2] = stop - start
        return counts_to_rle((counts if counts[-1] else counts[:-1]).tolist(), height, width)


def crop_runs(crop: Bool[ndarray, "w h"], top: int, left: int, height: int, width: int) -> Runs | None:
    """Find the runs of a mask of which only a part is given; the rest is background.

    The work grows with the part, not with the image.

    Args:
        crop: The part, column by column.
        top: Row of the image where it starts.
        left: Column of the image where it starts.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        The runs; None where the mask has no pixel.
    """
    columns, rows = crop.shape
    # With a background pixel before the first column and after each, starts and stops take turns.
    fenced = np.zeros(columns * (rows + 1) + 1, dtype=bool)
    fenced[1:].reshape(columns, rows + 1)[:, :-1] = crop
    edges = np.flatnonzero(fenced[1:] != fenced[:-1])
    if not len(edges):
        return None
    column, row = np.divmod(edges, rows + 1)
    return Runs(column[::2] + left, row[::2] + top, row[1::2] + top, (height, width))
