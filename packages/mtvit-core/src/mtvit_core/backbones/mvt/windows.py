"""A map cut into windows and put together again; the whole map may be one window."""

import torch
from jaxtyping import Float
from torch import Tensor

Grid = tuple[int, int]


def count(window: Grid, grid: Grid) -> int:
    """Return how many windows a map is cut into."""
    down, across = (-(-side // part) for side, part in zip(grid, window, strict=True))
    return down * across


def cut(
    maps: Float[Tensor, "B h w C"], window: Grid, filling: Float[Tensor, " C"]
) -> Float[Tensor, "windows n C"]:
    """Cut a map into windows, row-major, those of an image one after the other.

    Args:
        maps: The map.
        window: Rows and columns of a window.
        filling: What stands below and right of the map, where it does not fill the last windows.
    """
    images, width = maps.shape[0], maps.shape[3]
    for axis, side in enumerate(window, 1):
        lacking = -maps.shape[axis] % side
        if lacking:
            shape = (*maps.shape[:axis], lacking, *maps.shape[axis + 1 :])
            maps = torch.cat([maps, filling.to(maps.dtype).expand(shape)], axis)
    down, across = (count // side for count, side in zip(maps.shape[1:3], window, strict=True))
    apart = maps.view(images, down, window[0], across, window[1], width).transpose(2, 3)
    return apart.reshape(images * down * across, window[0] * window[1], width)


def join(windows: Float[Tensor, "windows n C"], window: Grid, grid: Grid) -> Float[Tensor, "B N C"]:
    """Put the windows of maps together, without what was filled in.

    Args:
        windows: The windows.
        window: Rows and columns of one.
        grid: Rows and columns of the map.
    """
    down, across = (-(-count // side) for count, side in zip(grid, window, strict=True))
    apart = windows.view(-1, down, across, *window, windows.shape[2]).transpose(2, 3)
    maps = apart.reshape(-1, down * window[0], across * window[1], windows.shape[2])
    return maps[:, : grid[0], : grid[1]].flatten(1, 2)
