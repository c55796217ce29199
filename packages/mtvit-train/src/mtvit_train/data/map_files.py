"""Files of dense labels: PNG images and numpy arrays, one file per image."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from mtvit_core.errors import DataError

#: Pillow's modes of one channel of whole numbers; P holds places in a palette, which are ids.
_GREY = ("L", "I;16", "I")
#: Directions shorter than this are no directions, but a colour near grey that stands for none.
_SHORTEST = 0.5


def read_pixels(path: Path, size: tuple[int, int], kind: str) -> Shaped[ndarray, "..."]:
    """Return what a file holds for each pixel: H W, or H W 3 for directions.

    Args:
        path: A ``.png`` or ``.npy`` file.
        size: Rows and columns of its image.
        kind: What it says, see ``mtvit_core.MapFolder``.

    Raises:
        DataError: it cannot be read, is of another kind, or of another size than its image.
    """
    pixels: ndarray = _of_array(path, kind) if path.suffix == ".npy" else _of_picture(path, kind)
    if pixels.shape[:2] != size:
        raise DataError(
            f"{path}: the label has {pixels.shape[1]} x {pixels.shape[0]} pixels, its image {size[1]} x "
            f"{size[0]}; make them equal."
        )
    return pixels


def _of_picture(path: Path, kind: str) -> Any:
    try:
        with Image.open(path) as picture:
            mode, pixels = picture.mode, np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as cause:
        wanted = "an RGB" if kind == "directions" else "a grey"
        raise DataError(f"{path}: not a readable image ({cause}); write {wanted} PNG.") from None
    if kind == "directions":
        if mode != "RGB":
            raise DataError(
                f"{path}: its pixels are {mode!r}; directions are an RGB PNG of 8 bits, 2 colour / 255 - 1."
            )
    elif mode not in _GREY and not (kind == "classes" and mode == "P"):
        raise DataError(f"{path}: its pixels are {mode!r}; a dense label is a grey PNG of 8 or 16 bits.")
    return pixels


def _of_array(path: Path, kind: str) -> Any:
    try:
        pixels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as cause:
        raise DataError(f"{path}: not a readable array ({cause}); write it by numpy.save.") from None
    shape, channels = pixels.shape, 3 if kind == "directions" else 1
    if channels == 1 and pixels.ndim == 3 and 1 in (shape[0], shape[2]):
        pixels = pixels[..., 0] if shape[2] == 1 else pixels[0]
    elif channels == 3 and pixels.ndim == 3 and shape[0] == 3 != shape[2]:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != (3 if channels == 3 else 2) or (channels == 3 and pixels.shape[2] != 3):
        form = "rows x columns x 3" if channels == 3 else "rows x columns"
        raise DataError(f"{path}: the array has shape {shape}; {kind} are an array of {form}.")
    if not (np.issubdtype(pixels.dtype, np.number) or pixels.dtype == bool):
        raise DataError(f"{path}: the array holds {pixels.dtype}; write numbers.")
    return pixels


def numbers(pixels: Shaped[ndarray, "H W"], scale: float) -> Float32[ndarray, "H W"]:
    """Return scaled numbers; NaN for 0 and what is not finite."""
    values = pixels.astype(np.float32) * np.float32(scale)
    values[(pixels == 0) | ~np.isfinite(values)] = np.nan
    return np.asarray(values)


def directions(pixels: Shaped[ndarray, "H W 3"]) -> Float32[ndarray, "3 H W"]:
    """Return unit vectors; NaN where there is none."""
    coded = pixels.dtype == np.uint8
    values = pixels.astype(np.float32) * np.float32(2 / 255) - 1 if coded else pixels.astype(np.float32)
    length = np.linalg.norm(values, axis=2, keepdims=True)
    unit = np.asarray(values / np.maximum(length, np.float32(1e-12)))
    nothing = (length < _SHORTEST) | ((pixels == 0).all(2, keepdims=True) if coded else ~(length > 0))
    return np.ascontiguousarray(np.where(nothing, np.float32(np.nan), unit).transpose(2, 0, 1))


def places(
    pixels: Shaped[ndarray, "H W"], place_of: dict[int, int], ignore: frozenset[int], path: Path
) -> Float32[ndarray, "H W"]:
    """Return the number of each pixel's class; NaN for ids that are ignored.

    Args:
        pixels: Ids.
        place_of: Number of each id.
        ignore: Ids of pixels without a label.
        path: For messages.

    Raises:
        DataError: an id is neither a class nor ignored.
    """
    found, where = np.unique(pixels, return_inverse=True)
    table = np.full(len(found), np.nan, np.float32)
    for row, value in enumerate(found.tolist()):
        if value in place_of:
            table[row] = place_of[value]
        elif value not in ignore and np.isfinite(value):
            raise DataError(
                f"{path}: a pixel has the id {value:g}, which is none of the {len(place_of)} classes; add it "
                "to classes and ids, or to ignore."
            )
    return np.asarray(table[where].reshape(pixels.shape))
