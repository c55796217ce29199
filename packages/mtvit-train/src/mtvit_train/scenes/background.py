"""Backgrounds: one to four textured layers, covering everything, a half-plane, or noise-shaped patches."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from mtvit_train.scenes.texture import (
    PATTERNS,
    Array,
    Texture,
    nearby_colour,
    random_colour,
    random_texture,
    value_noise,
)

Cover = Literal["all", "half", "patches"]
FREQUENCY = (5.5, 14.0)
"""Periods an image: high enough that no dot or checker field is as large as the smallest object."""


@dataclass(frozen=True)
class Layer:
    """A texture and where it lies: `level` and `sharpness` shape the edge of the cover."""

    texture: Texture
    cover: Cover
    level: float
    sharpness: float
    angle: float
    grid: Array

    def opacity(self, axis: Array) -> Array:
        """How much of this layer shows, 0..1, on the lattice axis x axis (unit coordinates centred on 0)."""
        if self.cover == "half":
            height = np.float32(np.cos(self.angle)) * axis[:, None] + np.float32(np.sin(self.angle)) * axis
        else:
            height = value_noise(self.grid, axis + np.float32(0.5), axis + np.float32(0.5))
        edge = (height - np.float32(self.level)) * np.float32(self.sharpness)
        return np.asarray(np.clip(edge + 0.5, 0, 1), np.float32)


@dataclass(frozen=True)
class Background:
    """Layers from back to front; the first covers everything."""

    layers: tuple[Layer, ...]

    @property
    def colours(self) -> tuple[Array, ...]:
        """The main colours of the layers, for objects to stand out from (or not)."""
        return tuple(layer.texture.colour for layer in self.layers)

    def paint(self, size: int) -> Array:
        """Paints the background, shape (size, size, 3), RGB in 0..1."""
        axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) - np.float32(0.5)
        canvas = self.layers[0].texture.paint(axis, axis)
        for layer in self.layers[1:]:
            opacity = layer.opacity(axis)[..., None]
            canvas += (layer.texture.paint(axis, axis) - canvas) * opacity
        return canvas


def _random_layer(rng: Generator, colour: Array, cover: Cover, cells: tuple[int, int]) -> Layer:
    rows = int(rng.integers(*cells))
    return Layer(
        texture=random_texture(rng, colour, float(rng.uniform(0.08, 0.35)), FREQUENCY, PATTERNS[1:]),
        cover=cover,
        level=float(rng.uniform(-0.1, 0.25) if cover == "half" else rng.uniform(0.55, 0.72)),
        sharpness=float(rng.choice([4.0, 15.0, 80.0])),
        angle=float(rng.normal(0, 0.12)),
        grid=rng.random((rows, rows), np.float32),
    )


def random_background(rng: Generator) -> Background:
    """Draws a background: a base, often a floor, often patches of camouflage, in related or free colours."""
    base = random_colour(rng, (0.08, 0.65), (0.3, 0.95))
    layers = [_random_layer(rng, base, "all", (4, 9))]
    if rng.random() < 0.45:
        layers.append(_random_layer(rng, random_colour(rng, (0.1, 0.6), (0.25, 0.9)), "half", (4, 9)))
    if rng.random() < 0.55:
        layers.append(_random_layer(rng, nearby_colour(rng, base, 0.3), "patches", (4, 8)))
    if rng.random() < 0.35:
        layers.append(_random_layer(rng, random_colour(rng, (0.2, 0.8), (0.3, 0.95)), "patches", (9, 16)))
    return Background(tuple(layers))
