"""Files of ``torch.save``: read with ``weights_only=True``, so that nothing in them can run."""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtvit_core.errors import CheckpointError, one_line

_SCALAR = np.float64(0).__reduce__()[0]
#: Scalars of numpy, as training scripts keep scores beside the weights, under the names of numpy 1 and 2.
NUMPY: tuple[Any, ...] = (
    np.dtype,
    *{type(np.dtype(kind)) for kind in (*np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "?")},
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
)


def read_pickle(path: Path, name: str, allowed: Iterable[type]) -> Any:
    """Read what a file of ``torch.save`` holds.

    Args:
        path: The file.
        name: What messages call it.
        allowed: Classes that it may name, besides what tensors and plain numbers need.

    Raises:
        CheckpointError: it is damaged, or reading it would run code.
    """
    classes = list(allowed)
    try:
        with torch.serialization.safe_globals([*classes, *NUMPY]):
            return _unpickle(path)
    except pickle.UnpicklingError as cause:
        named = _refused_globals(path, classes)
        what = f"needs {named}, and" if named else f"cannot be read without, as torch says: {cause!s:.120};"
        raise CheckpointError(
            f"source {name}: its pickle {what} mtvit runs nothing that a file names; "
            "where you trust it, save its weights alone as safetensors."
        ) from None
    except Exception as cause:  # a damaged pickle makes torch raise anything
        raise CheckpointError(
            f"source {name}: damaged, or not written by torch.save ({one_line(cause)})."
        ) from None


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as cause:
        if "mmap" not in str(cause):
            raise
        # Files of torch before 1.6 cannot be mapped; they are read whole.
        return torch.load(path, map_location="cpu", weights_only=True)


def _refused_globals(path: Path, classes: Iterable[type]) -> str:
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # files of torch before 1.6, and damaged ones
        return ""
    known = {f"{c.__module__}.{c.__name__}" for c in classes}
    known |= {entry[1] for entry in NUMPY if isinstance(entry, tuple)}
    known |= {f"{entry.__module__}.{entry.__qualname__}" for entry in NUMPY if isinstance(entry, type)}
    return ", ".join(sorted(set(found) - known))
