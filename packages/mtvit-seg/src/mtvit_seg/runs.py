"""Run lengths of a mask that is known only where it is."""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from mtvit_core.masks import Rle, counts_to_rle


def crop_to_rle(crop: Bool[ndarray, "h w"], top: int, left: int, height: int, width: int) -> Rle:
    """Compress a mask of an image of which only a part is given; the rest is background.

    The work grows with the part, not with the image.

    Args:
        crop: The part.
        top: Row of the image where it starts.
        left: Column of the image where it starts.
        height: Rows of the image.
        width: Columns of the image.
    """
    rows, columns = crop.shape
    # Column by column, with a background pixel before the first and after each: starts and stops take turns.
    fenced = np.zeros(columns * (rows + 1) + 1, dtype=bool)
    fenced[1:].reshape(columns, rows + 1)[:, :-1] = crop.T
    column, row = np.divmod(np.flatnonzero(fenced[1:] != fenced[:-1]), rows + 1)
    edges = (column + left) * height + row + top
    # A run that reaches the bottom of the image goes on at the top of the next column.
    apart = np.ones(len(edges), dtype=bool)
    apart[1:-1:2] = apart[2::2] = edges[1:-1:2] != edges[2::2]
    ends = edges[apart]
    if not len(ends) or ends[-1] < height * width:
        ends = np.append(ends, height * width)
    return counts_to_rle(np.diff(ends, prepend=0).tolist(), height, width)
