"""Masks as COCO run lengths (RLE), through pycocotools."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from pycocotools import mask as coco_mask


@dataclass(frozen=True)
class Rle:
    """A mask in COCO's compressed run-length form.

    Attributes:
        size: Rows and columns.
        counts: The run lengths as ASCII text.
    """

    size: tuple[int, int]
    counts: str


def encode_rle(mask: Bool[ndarray, "H W"]) -> Rle:
    """Compress a mask."""
    coded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(tuple(coded["size"]), coded["counts"].decode("ascii"))


def decode_rle(rle: Rle) -> Bool[ndarray, "H W"]:
    """Expand a mask."""
    return np.asarray(coco_mask.decode({"size": list(rle.size), "counts": rle.counts.encode("ascii")}), dtype=bool)


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
