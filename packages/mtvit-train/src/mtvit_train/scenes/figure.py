"""Figures: anything that can stand in a scene, as filled outlines with textures, free of resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mtvit_train.scenes.texture import Array, Texture

HOLE = -1
"""The ink of a part that cuts through the parts below it."""


@dataclass(frozen=True)
class Part:
    """One filled polygon; `ink` counts in `Figure.inks`, `shade` scales its brightness."""

    name: str
    outline: Array
    ink: int
    shade: float = 1.0


@dataclass(frozen=True)
class Joints:
    """Keypoints of a person in figure coordinates.

    Attributes:
        points: positions, shape (17, 2).
        hidden: joints on the far side of the body, shape (17,).
        owners: for each joint, the names of the parts on which it may be seen.
    """

    points: Array
    hidden: NDArray[np.bool_]
    owners: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Figure:
    """Parts from back to front, in coordinates whose box is centred on 0 and has a longer side of 1."""

    category_id: int
    parts: tuple[Part, ...]
    inks: tuple[Texture, ...]
    joints: Joints | None = None

    @property
    def half_extent(self) -> Array:
        """Half the width and height of the box around all parts, shape (2,)."""
        return np.asarray(np.concatenate([part.outline for part in self.parts]).max(axis=0), np.float32)


def fit(outlines: list[Array]) -> tuple[Array, float]:
    """The centre and the scale that bring outlines to a box centred on 0 with a longer side of 1."""
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, 1.0 / float((high - low).max())


def label_canvas(
    figure: Figure, scale: float, offset: tuple[float, float], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Draws which part is on top at each pixel.

    Args:
        figure: what to draw.
        scale: pixels per figure unit.
        offset: pixel position (x, y) of the figure's centre, pixel i covering [i, i + 1).
        shape: height and width of the canvas.

    Returns:
        Part index + 1, or 0 where there is none, shape (h, w).
    """
    canvas = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    shift = np.array(offset, np.float32) - np.float32(0.5)
    for index, part in enumerate(figure.parts):
        corners = (part.outline * np.float32(scale) + shift).ravel().tolist()
        draw.polygon(corners, fill=0 if part.ink == HOLE else index + 1)
    return np.array(canvas)
