"""Segmentations of annotation files: polygons and run lengths, checked, then kept as COCO's run lengths.

Polygons are rasterised once, when the file is read, with the double precision of the file: that is COCO's own
rule, so masks equal those of pycocotools bit by bit.
"""

from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.masks import Rle, counts_to_rle, polygons_to_rle, rle_area, run_lengths
from mtvit_train.data.formats.fields import numbers


class DegenerateError(DataError):
    """An annotation is well-formed but covers nothing; ``degenerate = "drop"`` leaves it out instead."""


def is_empty(value: Any) -> bool:
    """Tell whether a segmentation says that nobody drew a mask: null, ``[]``, ``[[]]``."""
    return value is None or (isinstance(value, list) and all(part == [] for part in value))


def parse_segmentation(value: Any, height: int, width: int, where: str) -> Rle:
    """Check one segmentation and compress it.

    Args:
        value: What the file holds: a list of polygons, or ``{"size", "counts"}``.
        height: Rows of the image.
        width: Columns of the image.
        where: Start of the error message: file and annotation.

    Raises:
        DegenerateError: It has a polygon of fewer than 3 points, or no pixel.
        DataError: It is malformed, or does not fit the image.
    """
    if isinstance(value, dict):
        rle = _from_counts(value, height, width, where)
    elif isinstance(value, list):
        rle = polygons_to_rle(_checked_polygons(value, height, width, where), height, width)
    else:
        raise DataError(f"{where}: segmentation is {value!r:.40}; give a list of polygons or run lengths.")
    if rle_area(rle) == 0:
        raise DegenerateError(
            f"{where}: segmentation covers no pixel of the image; correct or remove the annotation."
        )
    return rle


def _checked_polygons(value: list[Any], height: int, width: int, where: str) -> list[list[float]]:
    if all(type(part) in (int, float) for part in value):
        raise DataError(
            f"{where}: segmentation is one flat list of {len(value)} numbers; put the polygon into a list: "
            "[[x, y, x, y, ...]]."
        )
    return [
        _checked_polygon(polygon, height, width, f"{where}: polygon {i}") for i, polygon in enumerate(value)
    ]


def _checked_polygon(value: Any, height: int, width: int, where: str) -> list[float]:
    polygon = numbers(value, "segmentation", where)
    if len(polygon) % 2:
        raise DataError(f"{where} has {len(polygon)} coordinates; x and y come in pairs.")
    if len(polygon) < 6:
        raise DegenerateError(f"{where} has {len(polygon) // 2} points; a polygon needs at least 3.")
    # The rasteriser takes memory and time in proportion to the outline, so far-off points are refused.
    for side, name, values in ((width, "x", polygon[::2]), (height, "y", polygon[1::2])):
        low, high = min(values), max(values)
        if low < -side or high > 2 * side:
            far = low if low < -side else high
            raise DataError(f"{where} reaches {name} = {far:g}; the image has {name} from 0 to {side}.")
    return polygon


def _from_counts(value: dict[str, Any], height: int, width: int, where: str) -> Rle:
    size, counts = value.get("size"), value.get("counts")
    if size != [height, width]:
        raise DataError(
            f"{where}: run lengths have size {size!r:.40}; the image has size [{height}, {width}]."
        )
    runs = _runs(counts, where)
    if sum(runs) != height * width:
        raise DataError(
            f"{where}: run lengths add up to {sum(runs)} pixels; an image of size [{height}, {width}] has "
            f"{height * width}."
        )
    return Rle((height, width), counts) if isinstance(counts, str) else counts_to_rle(runs, height, width)


def _runs(counts: Any, where: str) -> list[int]:
    if isinstance(counts, str):
        try:
            return list(map(int, run_lengths(counts)))
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
    if isinstance(counts, list) and all(type(run) is int and run >= 0 for run in counts):
        return counts
    raise DataError(
        f"{where}: run lengths hold counts {counts!r:.40}; give a list of whole numbers or COCO's text."
    )
