"""The shape classes: outlines with slight random deformation, turned at random."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from mtvit_train.scenes.figure import HOLE, Figure, Part, fit
from mtvit_train.scenes.texture import Array, Texture

Outlines = tuple[Array, ...]
CIRCLE = np.linspace(0, 2 * np.pi, 48, endpoint=False, dtype=np.float32)


def _circle(radius: float) -> Array:
    return np.asarray(np.stack([np.cos(CIRCLE), np.sin(CIRCLE)], axis=1) * radius, np.float32)


def _spokes(radii: list[float]) -> Array:
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array(radii)[:, None]
    return np.asarray(corners, np.float32)


def _disc(rng: Generator) -> Outlines:
    return (_circle(1.0),)


def _square(rng: Generator) -> Outlines:
    return (np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32),)


def _triangle(rng: Generator) -> Outlines:
    return (_spokes([1.0] * 3),)


def _star(rng: Generator) -> Outlines:
    return (_spokes([1.0, rng.uniform(0.38, 0.5)] * int(rng.integers(5, 7))),)


def _ring(rng: Generator) -> Outlines:
    return _circle(1.0), _circle(rng.uniform(0.45, 0.65))


def _cross(rng: Generator) -> Outlines:
    a = float(rng.uniform(0.25, 0.38))
    quarter = np.array([(1, -a), (1, a), (a, a)])
    turns = [np.array([[0, 1], [-1, 0]]), np.eye(2), np.array([[0, -1], [1, 0]]), -np.eye(2)]
    return (np.concatenate([quarter @ turns[k].T for k in (1, 2, 3, 0)]).astype(np.float32),)


def _heart(rng: Generator) -> Outlines:
    x = 16 * np.sin(CIRCLE) ** 3
    y = 13 * np.cos(CIRCLE) - 5 * np.cos(2 * CIRCLE) - 2 * np.cos(3 * CIRCLE) - np.cos(4 * CIRCLE)
    return (np.asarray(np.stack([x, -y], axis=1) / 16, np.float32),)


SHAPES: dict[str, Callable[[Generator], Outlines]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "heart": _heart,
}
"""Shape classes in the order of their category ids, which follow the person's."""


def random_shape(rng: Generator, name: str, category_id: int, texture: Texture) -> Figure:
    """Draws one shape: stretched by up to 15 %, bent by a low wave, turned by any angle, with a darker rim.

    Args:
        rng: source of all choices.
        name: a key of `SHAPES`.
        category_id: the id that the figure carries.
        texture: its surface.
    """
    outlines = SHAPES[name](rng)
    stretch = np.float32(np.exp(rng.uniform(-0.07, 0.07))) ** np.array([1, -1], np.float32)
    angle, waves = rng.uniform(0, 2 * np.pi), rng.uniform(-0.03, 0.03, (2, 2)).astype(np.float32)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    bent = [(o + np.sin(3 * o[:, ::-1] @ waves)) * stretch @ turn.T for o in outlines]
    centre, scale = fit(bent)
    rim = float(rng.choice([0.0, 0.06, 0.1]))
    parts = [Part(name, (bent[0] - centre) * scale, 0, 0.65 if rim else 1.0)]
    if rim:
        middle = bent[0].mean(axis=0)
        parts.append(Part(name, ((bent[0] - middle) * (1 - 2 * rim) + middle - centre) * scale, 0))
    parts.extend(Part("hole", (hole - centre) * scale, HOLE) for hole in bent[1:])
    return Figure(category_id, tuple(parts), (texture,))
