"""Paint: figures, shadows, light and camera, turned into pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mtvit_train.scenes.figure import label_canvas
from mtvit_train.scenes.layout import Layout, Light, Placed
from mtvit_train.scenes.texture import Array

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Print:
    """A figure as it falls on the pixels: its window and what shows there."""

    rows: slice
    columns: slice
    labels: NDArray[np.uint8]
    alpha: Array

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the window in an image."""
        return self.rows, self.columns


def _pool(fine: Array) -> Array:
    s = SUPERSAMPLING
    return sum(fine[i::s, j::s] for i in range(s) for j in range(s)) / np.float32(s * s)  # type: ignore[return-value]


def print_figure(placed: Placed, size: int) -> Print:
    """Finds the pixels of a figure in an image of side `size`."""
    centre = np.array([placed.x, placed.y])
    reach = placed.figure.half_extent * placed.side + 1 / size
    low = np.clip(np.floor((centre - reach) * size), 0, size - 1).astype(int)
    high = np.clip(np.ceil((centre + reach) * size), low + 1, size).astype(int)
    offset = (centre * size - low) * SUPERSAMPLING
    width, height = (high - low) * SUPERSAMPLING
    scale = placed.side * size * SUPERSAMPLING
    labels = label_canvas(placed.figure, scale, (offset[0], offset[1]), (int(height), int(width)))
    alpha = _pool((labels > 0).astype(np.float32))
    return Print(slice(low[1], high[1]), slice(low[0], high[0]), labels, alpha)


def _axis(cut: slice, centre: float, side: float, size: int) -> Array:
    steps = np.arange(cut.start * SUPERSAMPLING, cut.stop * SUPERSAMPLING, dtype=np.float32)
    return ((steps + np.float32(0.5)) / np.float32(SUPERSAMPLING * size) - np.float32(centre)) / np.float32(
        side
    )


def _surface(placed: Placed, mark: Print, light: Light, size: int) -> Array:
    """Colours of the figure's window, already weighted by opacity, shape (h, w, 3)."""
    figure = placed.figure
    ink = np.array([0, *(max(part.ink, 0) for part in figure.parts)])[mark.labels]
    shade = np.array([0, *(part.shade for part in figure.parts)], np.float32)[mark.labels]
    u = _axis(mark.columns, placed.x, placed.side, size)
    v = _axis(mark.rows, placed.y, placed.side, size)
    colour = np.array([texture.colour for texture in figure.inks], np.float32)[ink]
    for number, texture in enumerate(figure.inks):
        if texture.pattern != "plain":
            here = ink == number
            colour[here] = texture.paint(u, v)[here]
    slope = light.direction[0] * u + light.direction[1] * v[:, None]
    return _pool(colour * (shade * (1 + np.float32(light.relief) * slope))[..., None])


def _cast_shadow(canvas: Array, mark: Print, light: Light, placed: Placed, size: int) -> None:
    reach = max(1, round(placed.side * size * 0.09))
    rows = slice(max(mark.rows.start - 2 * reach, 0), min(mark.rows.stop + 3 * reach, size))
    columns = slice(max(mark.columns.start - 2 * reach, 0), min(mark.columns.stop + 3 * reach, size))
    sheet = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    corner = (mark.columns.start - columns.start + reach // 2, mark.rows.start - rows.start + reach)
    sheet.paste(Image.fromarray((mark.alpha * 255).astype(np.uint8)), corner)
    dark = np.asarray(sheet.filter(ImageFilter.BoxBlur(reach * 0.6)).filter(ImageFilter.BoxBlur(reach * 0.6)))
    canvas[rows, columns] *= (1 - dark * np.float32(light.shadow / 255))[..., None]


def _develop(canvas: Array, light: Light, rng: Generator) -> NDArray[np.uint8]:
    """Light across the image, then blur, then sensor noise, then 8 bits."""
    size = len(canvas)
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) - np.float32(0.5)
    slope = light.direction[0] * axis + light.direction[1] * axis[:, None]
    canvas = canvas * (np.float32(light.gain) * (1 + np.float32(light.slope) * slope))[..., None]
    if light.blur:
        sharp = Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))
        canvas = np.asarray(
            sharp.filter(ImageFilter.GaussianBlur(light.blur * size)), np.float32
        ) / np.float32(255)
    canvas = canvas + rng.standard_normal(canvas.shape, np.float32) * np.float32(light.noise)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def paint_image(layout: Layout, prints: list[Print], size: int, rng: Generator) -> NDArray[np.uint8]:
    """Paints a layout back to front; `rng` is drawn from for sensor noise only.

    Returns:
        RGB pixels, shape (size, size, 3).
    """
    canvas = layout.background.paint(size)
    for placed, mark in zip(layout.objects, prints, strict=True):
        if layout.light.shadow:
            _cast_shadow(canvas, mark, layout.light, placed, size)
        canvas[mark.window] *= 1 - mark.alpha[..., None]
        canvas[mark.window] += _surface(placed, mark, layout.light, size)
    return _develop(canvas, layout.light, rng)
