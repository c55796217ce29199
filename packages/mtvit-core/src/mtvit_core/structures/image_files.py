"""Image files as RGB tensors.

Every kind of image that people have becomes 3 x H x W, 0 to 255; what cannot be read is an error that names
the file.
"""

import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from mtvit_core.arguments import as_path, require
from mtvit_core.errors import DataError
from mtvit_core.structures.interop.array_files import array_size, read_array

#: Most pixels an image may have unless a caller says otherwise: 256 MiB once decoded to RGB.
MAX_PIXELS = 89_478_485

#: Endings that mark a file of a folder as an image.
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

# Decoders that read pixels and run nothing else; Pillow's others stay out (EPS starts Ghostscript).
Image.init()
_FORMATS = tuple(sorted(Image.OPEN.keys() & {"JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM"}))
# What Pillow raises on damaged files, by decoder.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
)


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[Tensor, "3 H W"]:
    """Read an image file as upright RGB.

    The EXIF orientation is applied; damaged metadata counts as none. Transparent pixels are laid over white,
    as image viewers show them. 16-bit grey values are scaled to 8 bits (65535 becomes 255). Of animations the
    first frame is taken. Formats: JPEG, PNG, BMP, GIF, WebP, TIFF, PPM, and arrays in ``.npy``.

    Args:
        path: The file.
        max_pixels: Most pixels (rows times columns) the image may have; checked in its header, before
            decoding.

    Raises:
        DataError: The file is missing, empty, a folder, not an image, damaged, over ``max_pixels``, or holds
            values whose range is unknown (32-bit integers and floats).
    """
    path = as_path("read_image: path", path, DataError)
    require("read_image: max_pixels", max_pixels, int, "a whole number")
    _check_file(path)
    if path.suffix == ".npy":
        return read_array(path, max_pixels)
    with _quiet(), _open(path, str(path), max_pixels) as image:
        return _pixels(image, str(path))


def decode_image(
    image: BytesIO | Image.Image, where: str, max_pixels: int = MAX_PIXELS
) -> UInt8[Tensor, "3 H W"]:
    """Read an image that is no file, as ``read_image`` does.

    Args:
        image: The bytes of an image file; or an image that Pillow has opened or made.
        where: What messages call it.
        max_pixels: As for ``read_image``.

    Raises:
        DataError: as ``read_image``.
    """
    with _quiet():
        if isinstance(image, Image.Image):
            _check_pixels(image, where, max_pixels)
            return _pixels(image, where)
        with _open(image, where, max_pixels) as opened:
            return _pixels(opened, where)


def _pixels(image: Image.Image, where: str) -> UInt8[Tensor, "3 H W"]:
    try:
        pixels = np.array(_to_rgb(where, image))
    except _DAMAGE as error:
        raise _damaged(where, error) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def image_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the rows and columns that a file's header states, as stored: before any EXIF orientation.

    Raises:
        DataError: As ``read_image``, as far as the header tells.
    """
    path = as_path("image_size: path", path, DataError)
    require("image_size: max_pixels", max_pixels, int, "a whole number")
    _check_file(path)
    if path.suffix == ".npy":
        return array_size(path, max_pixels)
    with _quiet(), _open(path, str(path), max_pixels) as image:
        return image.height, image.width


def upright_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the rows and columns that ``read_image`` gives, from the file's header.

    Raises:
        DataError: As ``read_image``, as far as the header tells.
    """
    path = Path(path)
    _check_file(path)
    if path.suffix == ".npy":
        return array_size(path, max_pixels)
    with _quiet(), _open(path, str(path), max_pixels) as image:
        try:
            lying = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        except _DAMAGE:
            lying = False  # damaged metadata counts as none
        return (image.width, image.height) if lying else (image.height, image.width)


def find_images(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """List image files: files as given, folders by their image files sorted by name.

    Folders within folders and files whose names start with a dot are left out.

    Raises:
        DataError: A path does not exist, or a folder holds no image.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    require("find_images: paths", paths, Iterable, "paths of files or folders", DataError)
    found: list[Path] = []
    for path in (as_path("find_images: a path", path, DataError) for path in paths):
        if path.is_dir():
            found += _images_of(path)
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder; check the path.")
    return found


def _images_of(folder: Path) -> list[Path]:
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )
    if not names:
        allowed = " ".join(IMAGE_SUFFIXES)
        raise DataError(f"{folder}: the folder holds no image; give a folder with files ending in {allowed}.")
    return [folder / name for name in names]


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not an image file; name a file inside it.")
    if not path.exists():
        raise DataError(f"{path}: no such image file; check the path.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; restore it from its source or leave it out.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow: large sizes are checked here, damaged metadata counts as none, damaged pixels raise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _open(file: Path | BytesIO, where: str, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        raise DataError(
            f"{where}: not an image in a known format; allowed are JPEG, PNG, BMP, GIF, WebP, TIFF and PPM."
        ) from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{where}: the header claims more than {2 * MAX_PIXELS} pixels, over the cap of {max_pixels}; "
            f"shrink the image."
        ) from None
    except PermissionError:
        raise DataError(f"{where}: the file may not be read; change its permissions.") from None
    except _DAMAGE as error:
        raise _damaged(where, error) from error
    try:
        _check_pixels(image, where, max_pixels)
    except DataError:
        image.close()
        raise
    return image


def _check_pixels(image: Image.Image, where: str, max_pixels: int) -> None:
    if 0 in image.size:
        raise DataError(f"{where}: the image has no pixels; restore it from its source or leave it out.")
    if image.width * image.height > max_pixels:
        raise DataError(
            f"{where}: the header claims {image.width} x {image.height} pixels, over the cap of "
            f"{max_pixels}; shrink the image or raise the cap."
        )


def _to_rgb(where: str, file: Image.Image) -> Image.Image:
    image: Image.Image = ImageOps.exif_transpose(file)
    if file.mode.startswith("I") or file.mode == "F":
        _check_sixteen_bits(where, file)
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        above = image.convert("RGBA")
        white = Image.new("RGBA", above.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, above)
    return image.convert("RGB")


def _check_sixteen_bits(where: str, file: Image.Image) -> None:
    # Pillow holds 16-bit PGM files in mode I, scaled to 65535.
    if not (file.mode.startswith("I;16") or (file.mode == "I" and file.format in ("PPM", "PNG"))):
        raise DataError(
            f"{where}: pixels are 32-bit values (mode {file.mode}), whose range is unknown; "
            f"save the image with 8 or 16 bits a channel."
        )


def _damaged(where: str, error: Exception) -> DataError:
    cause = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{where}: the image is damaged ({cause}); restore it from its source or leave it out.")
