"""Images in numpy's ``.npy`` files: rows x columns x 3, 0 to 255 as uint8 or 0 to 1 as floats."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.errors import DataError


def read_array(path: Path, max_pixels: int) -> UInt8[Tensor, "3 H W"]:
    """Read an image; floats are rounded to 1/255.

    Args:
        path: The file.
        max_pixels: Most pixels that it may have; checked in its header.

    Raises:
        DataError: it is damaged, too large, or no image.
    """
    opened = _opened(path, max_pixels)
    if np.issubdtype(opened.dtype, np.floating):
        pixels = np.asarray(opened, np.float32)
        if not (np.isfinite(pixels).all() and 0 <= float(pixels.min()) <= float(pixels.max()) <= 1):
            raise DataError(
                f"{path}: its floats run from {float(pixels.min()):g} to {float(pixels.max()):g}; write an "
                "image as uint8 from 0 to 255, or as floats from 0 to 1."
            )
        pixels = np.rint(pixels * 255).astype(np.uint8)
    else:
        pixels = np.array(opened)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def array_size(path: Path, max_pixels: int) -> tuple[int, int]:
    """Return the rows and columns of an image.

    Raises:
        DataError: as ``read_array``, as far as the header tells.
    """
    rows, columns, _ = _opened(path, max_pixels).shape
    return rows, columns


def _opened(path: Path, max_pixels: int) -> Any:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as cause:
        raise DataError(f"{path}: not a readable array ({cause}); write it by numpy.save.") from None
    if found.ndim != 3 or found.shape[2] != 3 or not found.size:
        raise DataError(f"{path}: the array has shape {found.shape}; an image is rows x columns x 3.")
    if found.dtype != np.uint8 and not np.issubdtype(found.dtype, np.floating):
        raise DataError(
            f"{path}: the array holds {found.dtype}; an image holds uint8, or floats from 0 to 1."
        )
    if found.shape[0] * found.shape[1] > max_pixels:
        raise DataError(
            f"{path}: the image has {found.shape[1]} x {found.shape[0]} pixels, over the cap of "
            f"{max_pixels}; shrink it or raise the cap."
        )
    return found
