"""Scenes: layouts painted at one size, with exact boxes, masks, keypoints, classes, depth and normals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy import ndarray
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_train.scenes.figure import Figure
from mtvit_train.scenes.layout import PERSON_ID, SHAPE_IDS, Layout, Placed, random_layout
from mtvit_train.scenes.paint import SUPERSAMPLING, Print, paint_image, print_figure
from mtvit_train.scenes.texture import PATTERNS, Array

STREAMS: dict[SplitName, int] = {"train": 0, "val": 1}
SMALLEST_SIZE, LARGEST_SIZE = 64, 1024
DEPTH_UNIT = 4
"""Widths of the image in a depth of 1, for normals: the ground then leans by up to some 40 degrees."""

CATEGORIES: tuple[dict[str, Any], ...] = (
    {
        "id": PERSON_ID,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(COCO_PERSON.names),
        "skeleton": [[a + 1, b + 1] for a, b in COCO_PERSON.skeleton],
    },
    *({"id": number, "name": name, "supercategory": "shape"} for name, number in SHAPE_IDS.items()),
)
"""COCO category entries of all classes."""
WALLS = PATTERNS[1:]
IMAGE_CATEGORIES: tuple[dict[str, Any], ...] = tuple(
    {"id": number, "name": name, "supercategory": "wall"} for number, name in enumerate(WALLS, start=1)
)
"""COCO category entries of the classes of a whole scene: the texture of the wall behind everything."""


@dataclass(frozen=True)
class Scene:
    """One image and everything that is true of it; instances from back to front.

    Attributes:
        image: RGB pixels.
        category_ids: ids of `CATEGORIES`.
        boxes_xywh: tight boxes around the masks, in pixels (left, top, width, height).
        masks: visible pixels of each instance; no pixel belongs to two.
        keypoints: (x, y, v) in pixels, pixel i covering [i, i + 1), cut to hundredths. v is 2 where the
            joint's pixel shows the limb it belongs to, 1 where something is in the way, 0 (and x = y = 0)
            outside the image and for other classes.
        depth: distance from the viewer, 0 near to 1 far.
        wall: id of `IMAGE_CATEGORIES`.
        semantic: what each pixel shows: 0 background, else 1 + the place of its class in `CATEGORIES`.
        normals: unit vectors x (right), y (up), z (towards the viewer) of the surface that `depth` describes
            if a depth of 1 is `DEPTH_UNIT` widths of the image: objects are flat and face the viewer, the
            ground is tilted.
    """

    image: UInt8[ndarray, "H W 3"]
    category_ids: Int64[ndarray, " M"]
    boxes_xywh: Float32[ndarray, "M 4"]
    masks: Bool[ndarray, "M H W"]
    keypoints: Float32[ndarray, "M K 3"]
    depth: Float32[ndarray, "H W"]
    wall: Int64[ndarray, ""]
    semantic: UInt8[ndarray, "H W"]
    normals: Float32[ndarray, "3 H W"]


def _own_pixels(mark: Print, point: Array, owners: frozenset[str], figure: Figure) -> bool:
    column, row = ((point - (mark.columns.start, mark.rows.start)) * SUPERSAMPLING).astype(int)
    label = int(mark.labels[row, column])
    return label > 0 and figure.parts[label - 1].name in owners


def _keypoints(placed: Placed, mark: Print, mask: NDArray[np.bool_], size: int) -> Array:
    points = np.zeros((len(COCO_PERSON.names), 3), np.float32)
    joints = placed.figure.joints
    if joints is None:
        return points
    centre = np.array([placed.x, placed.y], np.float32)
    positions = (joints.points * np.float32(placed.side) + centre) * np.float32(size)
    for index, point in enumerate(np.floor(positions * 100) / np.float32(100)):
        if point.min() < 0 or point.max() >= size:
            continue
        seen = (
            not joints.hidden[index]
            and bool(mask[int(point[1]), int(point[0])])
            and _own_pixels(mark, point, joints.owners[index], placed.figure)
        )
        points[index] = point[0], point[1], 2 if seen else 1
    return points


def _tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
    return left, top, right - left + 1, bottom - top + 1


def _visible_masks(prints: list[Print], size: int) -> NDArray[np.bool_]:
    masks = np.zeros((len(prints), size, size), np.bool_)
    for index, mark in enumerate(prints):
        solid = mark.alpha >= 0.5
        masks[:index, mark.rows, mark.columns] &= ~solid
        masks[index, mark.rows, mark.columns] = solid
    return masks


def _ground(layout: Layout, size: int) -> Array:
    """The ground rises into the distance; before it is cut to 0.65 at the nearest and 1 at the farthest."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    far, down, across = layout.horizon
    return np.asarray(far + down * axis[:, None] + across * (axis - np.float32(0.5)), np.float32)


def _depth(layout: Layout, masks: NDArray[np.bool_]) -> Array:
    """Objects are flat, nearer than those behind, large ones nearest."""
    depth = np.asarray(np.clip(_ground(layout, masks.shape[1]), 0.65, 1), np.float32)
    nearest = 0.62
    for placed, mask in zip(layout.objects, masks, strict=True):
        nearest = min(nearest - 0.02, 0.65 - 0.9 * placed.side)
        depth[mask] = nearest
    return depth


def _normals(layout: Layout, masks: NDArray[np.bool_]) -> Array:
    """(u d_x, -u d_y, 1) of the depth d over x (right) and y (down), of length 1; flat is (0, 0, 1)."""
    ground = _ground(layout, masks.shape[1])
    tilted = (ground > 0.65) & (ground < 1) & ~masks.any(0)
    _, down, across = layout.horizon
    slope = np.array([DEPTH_UNIT * across, -DEPTH_UNIT * down, 1], np.float32)
    flat = np.array([0, 0, 1], np.float32)[:, None, None]
    return np.where(tilted, (slope / np.linalg.norm(slope))[:, None, None], flat).astype(np.float32)


def _semantic(layout: Layout, masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    place_of = {category["id"]: number for number, category in enumerate(CATEGORIES, start=1)}
    classes = np.zeros(masks.shape[1:], np.uint8)
    for placed, mask in zip(layout.objects, masks, strict=True):
        classes[mask] = place_of[placed.figure.category_id]
    return classes


def _label(layout: Layout, size: int, rng: Generator) -> Scene:
    prints = [print_figure(placed, size) for placed in layout.objects]
    masks = _visible_masks(prints, size)
    points = [_keypoints(*entry, size) for entry in zip(layout.objects, prints, masks, strict=True)]
    return Scene(
        image=paint_image(layout, prints, size, rng),
        category_ids=np.array([placed.figure.category_id for placed in layout.objects], np.int64),
        boxes_xywh=np.array([_tight_box(mask) for mask in masks], np.float32),
        masks=masks,
        keypoints=np.stack(points),
        depth=_depth(layout, masks),
        wall=np.array(1 + WALLS.index(layout.background.layers[0].texture.pattern)),
        semantic=_semantic(layout, masks),
        normals=_normals(layout, masks),
    )


def check_numbers(seed: int, index: int, size: int) -> None:
    """Checks the arguments of `render_scene`.

    Raises:
        DataError: a number is out of its range.
    """
    ranges = {"seed": (0, 2**32 - 1), "index": (0, 2**32 - 1), "size": (SMALLEST_SIZE, LARGEST_SIZE)}
    for (name, (low, high)), found in zip(ranges.items(), (seed, index, size), strict=True):
        if not low <= found <= high:
            raise DataError(f"scenes: {name} is {found}; give a whole number from {low} to {high}.")


def render_scene(seed: int, index: int, size: int, split: SplitName = "train") -> Scene:
    """Renders one scene, a pure function of its arguments.

    The layout does not depend on `size`: the same scene comes back at another resolution.

    Args:
        seed: number of the data set, 0 to 2**32 - 1.
        index: number of the scene, 0 to 2**32 - 1.
        size: side of the image in pixels, 64 to 1024.
        split: "train" and "val" scenes come from separate random streams.

    Raises:
        DataError: a number is out of its range.
    """
    check_numbers(seed, index, size)
    rng = np.random.default_rng(SeedSequence([seed, index, STREAMS[split]]))
    return _label(random_layout(rng), size, rng)
