"""Where an image lands on the canvas: one map for pixels, masks and points."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from mtvit_core.structures.framing import Affine, Framing, ImageMeta, Resample, resize
from mtvit_core.structures.masks import Rle, decode_rle


@dataclass(frozen=True)
class Placement:
    """Resize an image, cut a window out of it, mirror that, and pad it right and below with zeros.

    Coordinates are continuous: pixel i covers [i, i + 1).

    Attributes:
        original: Rows and columns of the image.
        resized: Rows and columns it is resized to, as coordinates count.
        canvas: Rows and columns of the canvas.
        top: First row of the window, in resized pixels.
        left: First column of the window, in resized pixels.
        flip: Whether the window is mirrored left to right.
        pixels: Rows and columns that its pixels are resized to, where some are cut off that coordinates do
            not know of (``Filling``); None for ``resized``.
        resample: How pixels are found.
    """

    original: tuple[int, int]
    resized: tuple[int, int]
    canvas: tuple[int, int]
    top: int = 0
    left: int = 0
    flip: bool = False
    pixels: tuple[int, int] | None = None
    resample: Resample = "bilinear"

    @classmethod
    def letterbox(cls, height: int, width: int, canvas: Framing, *, flip: bool = False) -> "Placement":
        """Fit the whole image into the canvas, as prediction does."""
        size = (height, width)
        content, pixels = canvas.content(*size), canvas.resized(*size)
        return cls(
            size,
            content,
            canvas.canvas(*size),
            flip=flip,
            pixels=None if pixels == content else pixels,
            resample=canvas.resample,
        )

    @property
    def content(self) -> tuple[int, int]:
        """Rows and columns of the canvas, from its top left, that hold the image."""
        return (
            min(self.canvas[0], self.resized[0] - self.top),
            min(self.canvas[1], self.resized[1] - self.left),
        )

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas pixels per original pixel, along y and x."""
        return self.resized[0] / self.original[0], self.resized[1] / self.original[1]

    @property
    def to_original(self) -> Affine:
        """Affine map from canvas to original coordinates."""
        y, x = self.scale
        columns = self.content[1]
        if self.flip:
            return (-1 / x, 0.0, (columns + self.left) / x, 0.0, 1 / y, self.top / y)
        return (1 / x, 0.0, self.left / x, 0.0, 1 / y, self.top / y)

    def meta(self, image_id: int, file_name: str) -> ImageMeta:
        """Return the way back from the canvas."""
        return ImageMeta(*self.original, self.content, self.to_original, image_id, file_name)

    def window(self, image: UInt8[Tensor, "3 H0 W0"]) -> UInt8[Tensor, "3 rows columns"]:
        """Resize an image (antialiased), cut the window out and mirror it."""
        resized = resize(image, self.pixels or self.resized, self.resample)
        window: Tensor = F.crop(resized, self.top, self.left, *self.content)
        return F.horizontal_flip(window) if self.flip else window

    def pad(self, window: UInt8[Tensor, "3 rows columns"]) -> UInt8[Tensor, "3 H W"]:
        """Pad a window right and below with zeros."""
        rows, columns = self.content
        canvas: Tensor = F.pad(window, [0, 0, self.canvas[1] - columns, self.canvas[0] - rows])
        return canvas

    def points(self, points: Float[Tensor, "*any 2"]) -> Float[Tensor, "*any 2"]:
        """Map x y points from the original image to the canvas, unclipped."""
        y, x = self.scale
        mapped = points * points.new_tensor([x, y]) - points.new_tensor([self.left, self.top])
        if self.flip:
            mapped = torch.stack([self.content[1] - mapped[..., 0], mapped[..., 1]], -1)
        return mapped

    def boxes(self, boxes: Float[Tensor, "M 4"]) -> Float[Tensor, "M 4"]:
        """Map xyxy boxes from the original image to the canvas, unclipped."""
        corners = self.points(boxes.reshape(-1, 2, 2))
        return torch.cat([corners.amin(1), corners.amax(1)], -1)

    @cached_property
    def source(self) -> tuple[Int64[ndarray, " rows"], Int64[ndarray, " columns"]]:
        """Original row and column under the centre of each row and column of the content."""
        rows, columns = self.content
        y, x = self.scale
        row = np.floor((np.arange(rows) + 0.5 + self.top) / y).astype(np.int64)
        column = np.floor((np.arange(columns) + 0.5 + self.left) / x).astype(np.int64)
        row, column = row.clip(0, self.original[0] - 1), column.clip(0, self.original[1] - 1)
        return row, column[::-1] if self.flip else column

    def dense(self, values: Float32[ndarray, "*planes H0 W0"]) -> Float[Tensor, "*planes H W"]:
        """Move dense labels of the original image onto the canvas, by nearest pixel; padding is NaN.

        Numbers keep their values; a flip turns directions round.
        """
        rows, columns = self.source
        out = np.full((*values.shape[:-2], *self.canvas), np.nan, np.float32)
        out[..., : len(rows), : len(columns)] = values[..., rows, :][..., columns]
        if self.flip and values.ndim == 3:
            out[0] *= -1
        return torch.from_numpy(out)

    def mask(self, rle: Rle, out: Bool[ndarray, "H W"]) -> None:
        """Write a mask of the original image into a canvas of False, by nearest pixel."""
        rows, columns = self.source
        # Stored column by column: cutting columns first is quick.
        decoded = np.asarray(decode_rle(rle).T)
        across = np.flatnonzero(np.asarray(decoded.any(1))[columns])
        down = np.flatnonzero(np.asarray(decoded.any(0))[rows])
        if len(across) and len(down):
            x, y = slice(across[0], across[-1] + 1), slice(down[0], down[-1] + 1)
            out[y, x] = decoded[columns[x]][:, rows[y]].T
