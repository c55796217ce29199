"""What chooses rows of a result: places, slices and truth values in every usual form."""

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mtvit_core.errors import ShapeError

#: What chooses objects of a result.
Rows = SupportsIndex | slice | Sequence[Any] | np.ndarray | Tensor


def places(rows: object, count: int) -> Int64[Tensor, " chosen"]:
    """Return places from 0 of the rows that an index means, as a list of so many would take it.

    Args:
        rows: A whole number, a slice, or places or truth values as a list, an array or a tensor.
        count: Number of rows.

    Raises:
        IndexError: a place is beyond the rows, or there are more or fewer truth values than rows.
        ShapeError: it is something else.
    """
    if isinstance(rows, slice):
        try:
            return torch.arange(count)[list(range(count))[rows]]
        except (TypeError, ValueError):
            raise ShapeError(_no_index(rows)) from None
    if isinstance(rows, str | bytes):
        raise ShapeError(_no_index(rows))
    try:
        given = torch.as_tensor(rows if isinstance(rows, Tensor) else np.asarray(rows)).cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(_no_index(rows)) from None
    if given.numel() == 0 and given.ndim == 1 and given.dtype != torch.bool:
        return torch.zeros(0, dtype=torch.int64)
    if given.is_floating_point() or given.is_complex() or given.ndim > 1:
        raise ShapeError(_no_index(rows))
    if given.dtype == torch.bool:
        if given.shape != (count,):
            raise IndexError(f"result: there are {given.numel()} truth values for {count} objects.")
        return given.nonzero()[:, 0]
    found = given.long().reshape(-1)
    beyond = found[(found < -count) | (found >= count)].tolist()
    if beyond:
        raise IndexError(f"result: there is no object {beyond[0]}; there are {count}, counted from 0.")
    return found % max(count, 1)


def _no_index(rows: object) -> str:
    shown = " ".join(repr(rows).split())
    return (
        f"result: {shown:.60} is no index; give a whole number, a slice, or a list, an array or a tensor of "
        "whole numbers or of truth values, one per object."
    )
