"""Layouts: which figures a scene holds, how large and where, decided before any pixel is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mtvit_train.scenes.background import Background, random_background
from mtvit_train.scenes.figure import Figure, label_canvas
from mtvit_train.scenes.person import random_person
from mtvit_train.scenes.shapes import SHAPES, random_shape
from mtvit_train.scenes.texture import Array, contrasting_colour, nearby_colour, random_texture

PERSON_ID = 1
SHAPE_IDS = {name: index for index, name in enumerate(SHAPES, start=PERSON_ID + 1)}
GRID = 128
"""Pixels a side of the fixed grid on which occlusion is judged, so that all image sizes share one layout."""
TRIES = 12
LEAST_VISIBLE = 0.4
SMALLEST, LARGEST = 1 / 8, 1 / 2


@dataclass(frozen=True)
class Placed:
    """A figure in the image: its centre and its longer side, as fractions of the image's side."""

    figure: Figure
    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Light:
    """Light of the whole image: direction, strength, shadows under objects, and the camera's flaws."""

    direction: Array
    slope: float
    relief: float
    gain: float
    shadow: float
    blur: float
    noise: float


@dataclass(frozen=True)
class Layout:
    """Everything about a scene but its resolution; objects from back to front."""

    background: Background
    objects: tuple[Placed, ...]
    light: Light
    horizon: Array


def _random_light(rng: Generator) -> Light:
    angle = rng.uniform(0, 2 * np.pi)
    return Light(
        direction=np.array([np.cos(angle), np.sin(angle)], np.float32),
        slope=float(rng.uniform(0, 0.5)),
        relief=float(rng.uniform(0, 0.6)),
        gain=float(rng.uniform(0.85, 1.12)),
        shadow=float(rng.uniform(0.2, 0.55) if rng.random() < 0.6 else 0),
        blur=float(rng.uniform(0.002, 0.006) if rng.random() < 0.25 else 0),
        noise=float(rng.uniform(0, 0.035)),
    )


def _random_kinds(rng: Generator) -> list[str]:
    """The classes of a scene: one to five objects, people in nearly half of the scenes."""
    count = int(rng.integers(1, 6))
    people = min(count, int(rng.choice([0, 1, 2, 3], p=[0.53, 0.32, 0.11, 0.04])))
    return ["person"] * people + [str(rng.choice(list(SHAPES))) for _ in range(count - people)]


def _random_figure(rng: Generator, kind: str, background: Background) -> Figure:
    if kind == "person":
        return random_person(rng, PERSON_ID)
    if rng.random() < 0.15:
        behind = background.colours[int(rng.integers(len(background.colours)))]
        colour = nearby_colour(rng, behind, float(rng.uniform(0.2, 0.3)))
    else:
        colour = contrasting_colour(rng, background.colours, 0.35)
    texture = random_texture(rng, colour, float(rng.uniform(0.15, 0.5)), (2.0, 6.0))
    return random_shape(rng, kind, SHAPE_IDS[kind], texture)


def _random_side(rng: Generator, kind: str) -> float:
    low = 0.2 if kind == "person" else SMALLEST
    return float(np.exp(rng.uniform(np.log(low), np.log(LARGEST))))


def _random_place(rng: Generator, figure: Figure, side: float) -> Placed:
    """A position inside the image, or, one time in five, up to a fifth of the object across its border."""
    spill = 0.2 if rng.random() < 0.2 else 0.0
    margin = figure.half_extent * side * (1 - 2 * spill)
    x, y = margin + rng.random(2) * (1 - 2 * margin)
    return Placed(figure, float(x), float(y), side)


def _cover(placed: Placed) -> NDArray[np.bool_]:
    offset = (placed.x * GRID, placed.y * GRID)
    return label_canvas(placed.figure, placed.side * GRID, offset, (GRID, GRID)) > 0


def _place_all(rng: Generator, figures: list[tuple[Figure, float]]) -> list[Placed]:
    """Places figures back to front; one that would bury another on all tries is left out."""
    placed: list[Placed] = []
    whole: list[int] = []
    seen: list[NDArray[np.bool_]] = []
    for figure, side in figures:
        for _ in range(TRIES):
            candidate = _random_place(rng, figure, side)
            cover = _cover(candidate)
            left = [mask & ~cover for mask in seen]
            if all(mask.sum() >= LEAST_VISIBLE * area for mask, area in zip(left, whole, strict=True)):
                placed.append(candidate)
                whole.append(int(cover.sum()))
                seen = [*left, cover]
                break
    return placed


def random_layout(rng: Generator) -> Layout:
    """Draws a scene; larger figures tend to stand in front."""
    background, light = random_background(rng), _random_light(rng)
    drawn = []
    for kind in _random_kinds(rng):
        side = _random_side(rng, kind)
        drawn.append((side * float(np.exp(rng.normal(0, 0.35))), _random_figure(rng, kind, background), side))
    drawn.sort(key=lambda entry: entry[0])
    objects = _place_all(rng, [(figure, side) for _, figure, side in drawn])
    horizon = np.array([rng.uniform(0.85, 1.0), rng.uniform(-0.2, 0), rng.normal(0, 0.04)], np.float32)
    return Layout(background, tuple(objects), light, horizon)
