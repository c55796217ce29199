"""Masks as COCO run lengths (RLE): by pycocotools, and by numpy where it takes one number at a time."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from pycocotools import mask as coco_mask

from mtvit_core.arguments import refuse, require, shown
from mtvit_core.errors import DataError, ShapeError


@dataclass(frozen=True)
class Rle:
    """A mask in COCO's compressed run-length form.

    Attributes:
        size: Rows and columns.
        counts: The run lengths as ASCII text.
    """

    size: tuple[int, int]
    counts: str

    def __post_init__(self) -> None:
        """Refuse what is no size or no text.

        Raises:
            DataError: naming it.
        """
        whole = isinstance(self.size, Sequence) and all(isinstance(n, int | np.integer) for n in self.size)
        if not whole or len(self.size) != 2 or min(self.size) < 0:
            raise DataError(f"mask: its size is {shown(self.size)}; give rows and columns.")
        require("mask: its counts", self.counts, str, "COCO's compressed run lengths as a text", DataError)


def encode_rle(mask: Bool[ndarray, "H W"]) -> Rle:
    """Compress a mask.

    Raises:
        ShapeError: it is no array of truth values or numbers, H x W.
    """
    if not isinstance(mask, ndarray) or mask.ndim != 2 or mask.dtype.kind not in "bui":
        raise refuse("encode_rle: mask", mask, "a numpy array H x W of truth values", ShapeError)
    coded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(tuple(coded["size"]), coded["counts"].decode("ascii"))


def decode_rle(rle: Rle) -> Bool[ndarray, "H W"]:
    """Expand a mask.

    Raises:
        DataError: The text is not COCO's form, or its runs do not fill the size.
    """
    require("decode_rle: rle", rle, Rle, "mtvit_core.Rle(size, counts)", DataError)
    height, width = rle.size
    ends = np.cumsum(run_lengths(rle.counts))
    if (ends[-1] if len(ends) else 0) != height * width:
        raise DataError(f"mask: run lengths {rle.counts!r:.40} do not add up to {height} x {width} pixels.")
    columns = np.zeros(height * width, bool)
    for start, end in zip(ends[0:-1:2].tolist(), ends[1::2].tolist(), strict=True):
        columns[start:end] = True
    return columns.reshape(width, height).T


def run_lengths(counts: str) -> Int64[ndarray, " runs"]:
    """Expand COCO's compressed run lengths: background and mask in turn, column by column.

    Each number is a little-endian chain of characters from 48 up with 5 bits each; bit 5 marks that more
    follow, the last bit 4 the sign. From the fourth on, a number is the difference to the run before the
    last.

    Raises:
        DataError: The text is not of this form, or a run is negative.
    """
    codes = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    length = last - first + 1
    whole = not len(codes) or (len(last) and last[-1] == len(codes) - 1 and length.max() <= 7)
    if not whole or ((codes < 0) | (codes > 63)).any():
        raise DataError(f"mask: {counts!r:.40} is not COCO's form of run lengths.")
    if not len(codes):
        return codes
    place = np.arange(len(codes)) - np.repeat(first, length)
    runs = np.add.reduceat((codes & 31) << (5 * place), first)
    runs -= np.where(codes[last] & 16, 1 << (5 * length), 0)
    for chain in (runs[1::2], runs[2::2]):
        np.cumsum(chain, out=chain)
    if (runs < 0).any():
        raise DataError(f"mask: {counts!r:.40} holds a run of negative length.")
    return runs


def compress_runs(runs: Int64[ndarray, " runs"], counts: Int64[ndarray, " M"]) -> list[str]:
    """Compress the run lengths of many masks at once, each as ``run_lengths`` expands it.

    Args:
        runs: Those of all masks, one mask behind the other.
        counts: How many each mask has, at least one.
    """
    if not len(runs):
        return []
    last = np.cumsum(counts)
    place = np.arange(len(runs)) - np.repeat(last - counts, counts)
    later = np.flatnonzero(place > 2)
    numbers = runs.copy()
    numbers[later] -= runs[later - 2]
    # Five bits of a number go into a character; its sign takes one more bit.
    bits = np.where(numbers < 0, ~numbers, numbers)
    length = np.searchsorted(16 * 32 ** np.arange(7), bits, side="right") + 1
    end = np.cumsum(length)
    codes = np.empty(int(end[-1]), np.uint8)
    for i in range(int(length.max())):
        longer = np.flatnonzero(length > i)
        more = length[longer] > i + 1
        codes[end[longer] - length[longer] + i] = 48 + ((numbers[longer] >> 5 * i) & 31) + 32 * more
    text = codes.tobytes().decode("ascii")
    return [text[a:b] for a, b in itertools.pairwise([0, *end[last - 1].tolist()])]


def points_to_rle(points: Float[ndarray, "P 2"], height: int, width: int) -> Rle:
    """Return the mask of the pixels that points lie on.

    Args:
        points: x, y inside the image; pixel i covers [i, i + 1).
        height: Rows of the image.
        width: Columns of the image.
    """
    runs: list[int] = []
    end = 0
    for pixel in sorted({int(x) * height + int(y) for x, y in points.tolist()}):
        if runs and pixel == end:
            runs[-1] += 1
        else:
            runs += [pixel - end, 1]
        end = pixel + 1
    return counts_to_rle([*runs, height * width - end], height, width)


def shares_inside(parts: Sequence[Rle], masks: Sequence[Rle]) -> Float[ndarray, "M M2"]:
    """Return which share of the pixels of each part lies inside each mask; 0 for a part without pixels."""
    coded = [
        [{"size": list(rle.size), "counts": rle.counts.encode("ascii")} for rle in rles]
        for rles in (parts, masks)
    ]
    # The overlap with a crowd is divided by the area of the other mask alone.
    return np.asarray(coco_mask.iou(*coded, [1] * len(masks))).reshape(len(parts), len(masks))


def rle_area(rle: Rle) -> float:
    """Return the number of pixels of a mask."""
    return float(coco_mask.area({"size": list(rle.size), "counts": rle.counts.encode("ascii")}))


def polygons_to_rle(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """Rasterise the union of COCO polygons (flat x y lists, pixels) by COCO's own rule."""
    coded = coco_mask.merge(coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width))
    return Rle(tuple(coded["size"]), coded["counts"].decode("ascii"))


def counts_to_rle(counts: Sequence[int], height: int, width: int) -> Rle:
    """Compress COCO's uncompressed run lengths (column-major, starting with background)."""
    coded = coco_mask.frPyObjects({"size": [height, width], "counts": list(counts)}, height, width)
    return Rle(tuple(coded["size"]), coded["counts"].decode("ascii"))
