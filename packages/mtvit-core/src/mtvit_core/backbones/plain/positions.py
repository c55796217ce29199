"""Tables of learned positions at another grid of patches than the one they were learned at."""

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
    resized = F.interpolate(maps, size=new, mode="bicubic", align_corners=False, antialias=antialias)
    return torch.cat([tables[:, :prefix], resized.flatten(2).transpose(1, 2)], 1)
