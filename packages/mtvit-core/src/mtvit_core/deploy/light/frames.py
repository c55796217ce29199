"""Images on canvases, and the way back, by numpy and pillow; the numbers are those of ``Letterbox``."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from PIL import Image, ImageOps, UnidentifiedImageError

from mtvit_core.errors import DataError, ShapeError
from mtvit_core.structures.canvases.fitted import fitted

LightImage = str | Path | bytes | Image.Image | ndarray


@dataclass(frozen=True)
class Frame:
    """Where a canvas comes from.

    Attributes:
        height: Rows of the original image.
        width: Columns of the original image.
        content: Rows and columns of the canvas that hold the image, from its top left.
        canvas: Rows and columns of the canvas.
        in_image: Whether boxes and keypoints are told in pixels of the image, not of the canvas.
    """

    height: int
    width: int
    content: tuple[int, int]
    canvas: tuple[int, int]
    in_image: bool = False

    @property
    def scale(self) -> Float32[ndarray, " 2"]:
        """Original pixels per pixel that boxes and keypoints are told in, in x and y."""
        if self.in_image:
            return np.ones(2, np.float32)
        return np.array([self.width / self.content[1], self.height / self.content[0]], np.float32)

    def ways(self, size: tuple[int, int]) -> tuple[Float32[ndarray, "H h"], Float32[ndarray, "W w"]]:
        """Return shares of the rows and columns of a map of the canvas in those of the original image.

        Args:
            size: Rows and columns of the map.
        """
        lengths = (self.height, self.width)
        each = [
            _linear(content, length) @ _linear(pixels, canvas)[:content]
            for pixels, canvas, content, length in zip(size, self.canvas, self.content, lengths, strict=True)
        ]
        return each[0], each[1]


def read(image: LightImage) -> UInt8[ndarray, "H W 3"]:
    """Return the pixels of an image, upright, red, green and blue.

    Raises:
        DataError: a file is missing, or no image.
        ShapeError: an array is not uint8 H x W x 3.
    """
    if isinstance(image, ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ShapeError(
                f"predict: an array is {image.dtype} {image.shape}; give uint8 H x W x 3, red, green, blue."
            )
        return image
    try:
        opened = image if isinstance(image, Image.Image) else Image.open(_file(image))
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except (OSError, UnidentifiedImageError) as cause:
        name = "predict" if isinstance(image, bytes | Image.Image) else str(image)
        raise DataError(f"{name}: it cannot be read as an image ({cause}).") from None


def _file(image: str | Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(image) if isinstance(image, bytes) else Path(image)


def on_canvas(
    image: UInt8[ndarray, "H W 3"], canvas: tuple[int, int]
) -> tuple[UInt8[ndarray, "3 h w"], Frame]:
    """Resize an image to fit a canvas, keeping its aspect, and pad it right and below with zeros."""
    height, width = image.shape[:2]
    content = fitted(height, width, canvas)
    resized = Image.fromarray(image).resize((content[1], content[0]), Image.Resampling.BILINEAR)
    pixels = np.zeros((3, *canvas), np.uint8)
    pixels[:, : content[0], : content[1]] = np.asarray(resized).transpose(2, 0, 1)
    return pixels, Frame(height, width, content, canvas)


def _linear(source: int, target: int) -> Float32[ndarray, "T S"]:
    """Weights of linear interpolation between pixel centres, the border going on outside."""
    place = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(place.astype(int), source - 1)
    share, rows = (place - low).astype(np.float32), np.arange(target)
    weights = np.zeros((target, source), np.float32)
    weights[rows, low] = 1 - share
    weights[rows, np.minimum(low + 1, source - 1)] += share
    return weights
