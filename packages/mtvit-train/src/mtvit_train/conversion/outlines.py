"""Outlines of masks along the edges of their pixels, for tools that take no run lengths.

Each edge between a pixel of the mask and one outside is a step, with the mask on its right; steps that
follow each other close loops. Loops around holes run the other way round, and are left out: COCO's outlines
have none.
"""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

Point = tuple[int, int]


def outlines_of(mask: Bool[ndarray, "H W"]) -> list[list[float]]:
    """Return a flat outline x y x y ... of each part of a mask; parts that touch at corners are apart."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    steps = _steps(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    found = []
    while steps:
        loop = _corners(_loop(steps))
        if _area(loop) > 0:
            found.append([float(value) for x, y in loop for value in (x + left, y + top)])
    return found


def _steps(mask: Bool[ndarray, "H W"]) -> dict[Point, list[Point]]:
    """Return the ends of the steps from each corner of a pixel."""
    padded = np.pad(mask, 1)
    steps: dict[Point, list[Point]] = {}
    for (dy, dx), (x0, y0, x1, y1) in {
        (-1, 0): (0, 0, 1, 0),
        (0, 1): (1, 0, 1, 1),
        (1, 0): (1, 1, 0, 1),
        (0, -1): (0, 1, 0, 0),
    }.items():
        beside = np.roll(padded, (-dy, -dx), (0, 1))
        for y, x in np.argwhere(padded & ~beside).tolist():
            steps.setdefault((x - 1 + x0, y - 1 + y0), []).append((x - 1 + x1, y - 1 + y1))
    return steps


def _loop(steps: dict[Point, list[Point]]) -> list[Point]:
    """Take the steps of one loop out; where two go on, the one to the right stays at its pixel."""
    start = next(iter(steps))
    loop, at, way = [start], start, (0, 0)
    while True:
        ends = steps[at]
        right = (at[0] - way[1], at[1] + way[0])
        end = right if right in ends else ends[0]
        ends.remove(end)
        if not ends:
            del steps[at]
        at, way = end, (end[0] - at[0], end[1] - at[1])
        if at == start:
            return loop
        loop.append(at)


def _corners(loop: list[Point]) -> list[Point]:
    """Leave out points between two others of one line."""
    around = zip([loop[-1], *loop[:-1]], loop, [*loop[1:], loop[0]], strict=True)
    return [b for a, b, c in around if (b[0] - a[0]) * (c[1] - b[1]) != (b[1] - a[1]) * (c[0] - b[0])]


def _area(loop: list[Point]) -> float:
    """Signed area (shoelace): above 0 around a part, below 0 around a hole."""
    after = [*loop[1:], loop[0]]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(loop, after, strict=True)) / 2
