"""What attention adds for how far two patches of a window lie apart: b(dy, dx), one number a head.

A table has a row for each pair of offsets, -(h - 1) to h - 1 and -(w - 1) to w - 1, row-major, and a column a
head. Source: Liu et al. 2021 (Swin), eq. 4.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def sides(window: Grid) -> Grid:
    """Number of vertical and of horizontal offsets in a window of h x w patches."""
    return 2 * window[0] - 1, 2 * window[1] - 1


def offsets(window: Grid, device: torch.device) -> Int64[Tensor, "n n"]:
    """Return the row of the table for each pair of a patch that asks and a patch that is asked.

    Args:
        window: Rows h and columns w of patches.
        device: Where.
    """
    rows, columns = (torch.arange(count, device=device) for count in window)
    down = rows[:, None, None, None] - rows[:, None] + window[0] - 1
    across = columns[:, None, None] - columns + window[1] - 1
    return (down * sides(window)[1] + across).flatten(2, 3).flatten(0, 1)


def resized(table: Float[Tensor, "_ A"], old: Grid, new: Grid) -> Float[Tensor, "_ A"]:
    """Return the table for a window of another size, between the same ends (bicubic).

    Args:
        table: The table.
        old: Rows and columns of patches of its window.
        new: Those wanted.
    """
    if old == new:
        return table
    maps = table.T.unflatten(1, sides(old))[None]  # type: ignore[no-untyped-call]  # torch leaves it untyped
    grown: Tensor = F.interpolate(maps, size=sides(new), mode="bicubic", align_corners=False)
    return grown[0].flatten(1).T
