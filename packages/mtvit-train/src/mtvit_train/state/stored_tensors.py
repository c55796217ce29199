"""Tensors that lie in safetensors files, whole or in parts; what is not asked for is not read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor


class TensorFile:
    """A safetensors file, opened when something is asked of it."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    @cached_property
    def tensors(self) -> Any:
        """What safetensors gives of the file: ``get_slice`` reads what is taken of a slice."""
        return safe_open(self.path, framework="pt")


@dataclass(frozen=True)
class Stored:
    """A tensor whose rows lie in one file or in several.

    Attributes:
        name: What it is called in each.
        files: In the order of the rows.
        bounds: Row at which the part in each file begins, and the number of all rows; empty where it is
            whole, in the first file.
    """

    name: str
    files: tuple[TensorFile, ...]
    bounds: Sequence[int] = ()

    @property
    def shape(self) -> torch.Size:
        """Shape of the whole tensor."""
        first = self.files[0].tensors.get_slice(self.name).get_shape()
        return torch.Size([self.bounds[-1], *first[1:]] if self.bounds else first)

    def __getitem__(self, rows: slice | EllipsisType) -> Tensor:
        """Read some rows, from the first wanted one up to the first unwanted one, or all with ``...``."""
        if not self.bounds:
            return self._read(0, rows)
        begin, end = (0, self.bounds[-1]) if isinstance(rows, EllipsisType) else (rows.start, rows.stop)
        found = []
        for place, (first, last) in enumerate(pairwise(self.bounds)):
            low, high = max(begin, first), min(end, last)
            if low < high:
                found.append(self._read(place, slice(low - first, high - first)))
        return torch.cat(found) if len(found) > 1 else found[0] if found else self._read(0, slice(0, 0))

    def _read(self, place: int, rows: slice | EllipsisType) -> Tensor:
        found: Tensor = self.files[place].tensors.get_slice(self.name)[rows]
        return found.clone()  # it was a window on the file
