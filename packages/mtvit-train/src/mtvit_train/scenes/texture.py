"""Colours and surface textures, drawn from a generator and painted at any resolution."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pattern = Literal["plain", "gradient", "stripes", "checker", "dots", "noise"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


def random_colour(rng: Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Array:
    """Draws a colour uniformly in hue and in the given saturation and value ranges.

    Returns:
        RGB in 0..1, shape (3,).
    """
    hue, s, v = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(hue, s, v), np.float32)


def contrasting_colour(rng: Generator, others: Sequence[Array], distance: float) -> Array:
    """Draws a colour at least `distance` (RGB in 0..1) from each of `others`, or the farthest of 12 draws."""
    best, best_gap = random_colour(rng, (0.25, 0.95), (0.3, 1.0)), -1.0
    for _ in range(12):
        colour = random_colour(rng, (0.25, 0.95), (0.3, 1.0))
        gap = min((float(np.linalg.norm(colour - other)) for other in others), default=1.0)
        if gap >= distance:
            return colour
        if gap > best_gap:
            best, best_gap = colour, gap
    return best


def nearby_colour(rng: Generator, colour: Array, distance: float) -> Array:
    """Moves a colour by about `distance` in a random direction, kept in 0..1."""
    step = rng.standard_normal(3)
    step *= distance / np.linalg.norm(step)
    step = np.where((colour + step < 0) | (colour + step > 1), -step, step)
    return np.clip(colour + step, 0, 1).astype(np.float32)


def value_noise(grid: Array, u: Array, v: Array) -> Array:
    """Interpolates a small random grid smoothly.

    Args:
        grid: values at the lattice points, shape (rows, columns).
        u: columns to sample, 0..1 across the grid, shape (w,).
        v: rows to sample, shape (h,).

    Returns:
        The interpolated values, shape (h, w).
    """
    return np.asarray(_weights(v, grid.shape[0]) @ grid @ _weights(u, grid.shape[1]).T, np.float32)


def _weights(t: Array, points: int) -> Array:
    gap = np.abs(np.clip(t, 0, 1)[:, None] * (points - 1) - np.arange(points, dtype=np.float32))
    near = np.clip(1 - gap, 0, 1)
    return np.asarray(near * near * (3 - 2 * near), np.float32)


@dataclass(frozen=True)
class Texture:
    """A pattern between two colours; `phase` moves it, `frequency` counts periods per unit."""

    pattern: Pattern
    colour: Array
    second: Array
    frequency: float
    angle: float
    phase: float
    grid: Array

    def paint(self, u: Array, v: Array) -> Array:
        """Paints the texture on the lattice v x u (unit coordinates, centred on 0), shape (h, w, 3)."""
        mix = self._mix(u, v)[..., None]
        return np.asarray(self.colour * (1 - mix) + self.second * mix, np.float32)

    def _mix(self, u: Array, v: Array) -> Array:
        turn = np.float32(2 * np.pi * self.frequency)
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = cos * u + sin * v[:, None]
        across = cos * v[:, None] - sin * u
        match self.pattern:
            case "plain":
                return np.zeros((len(v), len(u)), np.float32)
            case "gradient":
                return np.clip(along + np.float32(0.5), 0, 1)
            case "noise":
                return value_noise(self.grid, u + np.float32(0.5), v + np.float32(0.5))
            case "stripes":
                wave = np.sin(turn * along + np.float32(self.phase))
            case "checker":
                wave = np.sin(turn * along + np.float32(self.phase)) * np.sin(turn * across) * 2
            case "dots":
                wave = np.sin(turn * along + np.float32(self.phase)) + np.sin(turn * across) - 0.9
        return np.asarray(np.clip(wave * 3 + 0.5, 0, 1), np.float32)


def random_texture(
    rng: Generator,
    colour: Array,
    contrast: float,
    frequency: tuple[float, float],
    patterns: Sequence[Pattern] = PATTERNS,
) -> Texture:
    """Draws a texture around one colour; its second colour lies about `contrast` away."""
    cells = int(rng.integers(4, 11))
    return Texture(
        pattern=patterns[int(rng.integers(len(patterns)))],
        colour=colour,
        second=nearby_colour(rng, colour, contrast),
        frequency=float(rng.uniform(*frequency)),
        angle=float(rng.uniform(0, np.pi)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        grid=rng.random((cells, cells), np.float32),
    )
