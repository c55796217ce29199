"""Rows of YOLO's label files: a class, then a box, an outline, or a pose, in shares of the image.

    box        class  xc yc w h
    outline    class  x1 y1 x2 y2 x3 y3 ...                       (one outline; a box with corners too)
    pose       class  xc yc w h  x1 y1 [v1] x2 y2 [v2] ...        (K points of 2 or 3 numbers: ``kpt_shape``)

Source: the documentation of data sets of Ultralytics.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.translation import text_of

Entry = dict[str, Any]
#: Shares beyond these are no shares; a box that is drawn over the border stays far within.
_LEAST, _MOST = -1.0, 2.0


@dataclass(frozen=True)
class RowForm:
    """What rows may hold.

    Attributes:
        classes: Numbers of the classes.
        points: Keypoints of an object; 0 where there are none.
        dims: Numbers of a keypoint: x, y and perhaps visibility.
    """

    classes: frozenset[int]
    points: int = 0
    dims: int = 3


@dataclass(frozen=True)
class Row:
    """An object in shares of the image.

    Attributes:
        line: Number of the row, from 1.
        category: Its class.
        numbers: What follows the class.
    """

    line: int
    category: int
    numbers: Sequence[float]


def read_rows(path: Path, form: RowForm, faults: Faults) -> list[Row]:
    """Read a label file; one that is not there means that nobody is in the image.

    Args:
        path: The file.
        form: What rows may hold.
        faults: What to do at a row that is malformed; it is left out.

    Raises:
        DataError: a row is malformed.
    """
    rows: list[Row] = []
    if not path.is_file():
        return rows
    for line, text in enumerate(text_of(path).splitlines(), start=1):
        if text.strip():
            with faults:
                rows.append(_row(text.split(), line, form, f"{path}:{line}"))
    return rows


def _row(cells: Sequence[str], line: int, form: RowForm, where: str) -> Row:
    try:
        category, *numbers = [float(cell) for cell in cells]
    except ValueError:
        raise DataError(
            f"{where}: {' '.join(cells)!r:.60} are not all numbers; separate them by spaces."
        ) from None
    if category not in form.classes:
        raise DataError(
            f"{where}: class {category:g} is none of the {len(form.classes)} that are named; correct the "
            "row, or name the class."
        )
    _check_count(len(numbers), form, where)
    shares = (
        numbers
        if not form.points or form.dims == 2
        else [*numbers[:4], *(n for place, n in enumerate(numbers[4:]) if place % 3 < 2)]
    )
    bad = [n for n in shares if not (math.isfinite(n) and _LEAST <= n <= _MOST)]
    if bad:
        raise DataError(
            f"{where}: {bad[0]:g} is no share of the image; numbers run from 0 to 1. Divide pixels by the "
            "width or the height."
        )
    return Row(line, int(category), numbers)


def _check_count(count: int, form: RowForm, where: str) -> None:
    """Refuse rows of a length that no form has."""
    if count == 4 or (form.points and count == 4 + form.points * form.dims):
        return
    if not form.points and count >= 6 and count % 2 == 0:
        return
    if count == 5 and not form.points:
        raise DataError(f"{where}: 5 numbers follow the class; a box has 4. Leave out the score.")
    allowed = (
        f"a box has 4, with {form.points} keypoints {4 + form.points * form.dims} (kpt_shape)"
        if form.points
        else "a box has 4, an outline at least 6, x and y in pairs; keypoints need kpt_shape in the yaml"
    )
    raise DataError(f"{where}: {count} numbers follow the class; {allowed}.")


def to_entry(row: Row, form: RowForm, height: int, width: int) -> Entry:
    """Return an annotation of COCO's form, in pixels, without ids."""
    numbers, size = row.numbers, (width, height)
    if len(numbers) == 4 or form.points:
        xc, yc, w, h = numbers[:4]
        entry: Entry = {"bbox": [(xc - w / 2) * width, (yc - h / 2) * height, w * width, h * height]}
        if len(numbers) > 4:
            entry["keypoints"] = _points(numbers[4:], form.dims, width, height)
    else:
        outline = [share * size[place % 2] for place, share in enumerate(numbers)]
        left, top = min(outline[::2]), min(outline[1::2])
        entry = {
            "bbox": [left, top, max(outline[::2]) - left, max(outline[1::2]) - top],
            "segmentation": [outline],
        }
    return {"category_id": row.category, **entry}


def _points(numbers: Sequence[float], dims: int, width: int, height: int) -> list[float]:
    """Return x, y, visibility of each point; points of two numbers at 0 0 or below 0 are unlabelled."""
    flat: list[float] = []
    for start in range(0, len(numbers), dims):
        x, y = numbers[start : start + 2]
        seen = numbers[start + 2] if dims == 3 else 2.0 * (x >= 0 and y >= 0 and (x, y) != (0, 0))
        flat += [x * width, y * height, seen] if seen else [0.0, 0.0, 0.0]
    return flat
