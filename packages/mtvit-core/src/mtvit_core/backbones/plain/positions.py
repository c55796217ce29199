"""Tables of learned positions at another grid of patches than the one they were learned at."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def resize_tables(
    tables: Float[Tensor, "L S D"], old: tuple[int, int], new: tuple[int, int], prefix: int, antialias: bool
) -> Float[Tensor, "L S2 D"]:
    """Resize the patches' part of some tables (bicubic); the rows of prefix tokens stay.

    Args:
        tables: Tables, each with prefix rows before those of the patches, which are row-major.
        old: Rows and columns of patches of the tables.
        new: Rows and columns of patches wanted.
        prefix: Number of prefix rows.
        antialias: Whether shrinking is smoothed, as timm does it and YOLOS does not.
    """
    if old == new:
        return tables
    maps = tables[:, prefix:].transpose(1, 2).reshape(len(tables), -1, *old)
    if torch.compiler.is_compiling():  # a graph's own resizing differs from runtime to runtime
        rows, columns = (
            torch.tensor(shares(*sides, antialias), dtype=tables.dtype, device=tables.device)
            for sides in zip(old, new, strict=True)
        )
        resized = rows @ maps @ columns.mT
    else:
        resized = F.interpolate(maps, size=new, mode="bicubic", align_corners=False, antialias=antialias)
    return torch.cat([tables[:, :prefix], resized.flatten(2).transpose(1, 2)], 1)


def shares(old: int, new: int, antialias: bool) -> list[list[float]]:
    """Return what each of the new cells takes of each of the old ones, as ``F.interpolate`` resizes.

        w(i, j) ~ k((j + 0.5 - c) / s),  c = (i + 0.5) old / new,  s = max(1, old / new) if smoothed, else 1

    k is the cubic kernel (Keys 1981, Eq. 4), a = -0.5 if smoothed and -0.75 elsewhere. Cells beyond the edge
    count nothing if smoothed; elsewhere the last cell is repeated.
    """
    step = old / new
    stretch, a = (max(1.0, step), -0.5) if antialias else (1.0, -0.75)
    table = [[0.0] * old for _ in range(new)]
    for i, row in enumerate(table):
        centre = (i + 0.5) * step
        first, last = math.floor(centre - 2 * stretch - 0.5), math.ceil(centre + 2 * stretch)
        for j in range(first, last + 1):
            if 0 <= j < old or not antialias:
                row[min(max(j, 0), old - 1)] += _cubic((j + 0.5 - centre) / stretch, a)
        total = sum(row)
        row[:] = [share / total for share in row]
    return table


def _cubic(x: float, a: float) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0
