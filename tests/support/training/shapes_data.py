"""Packed annotations of random shapes, for tests of what augmentation does to them."""

from pathlib import Path

import numpy as np

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import encode_rle
from mtvit_train.data.packed import Member, PackedAnnotations

#: A class with sides, a class without keypoints, and a class with more keypoints whose sides are unknown.
CATEGORIES = Categories(
    (
        Category(1, "person", KeypointSchema(("nose", "left_eye", "right_eye"), flip_pairs=((1, 2),))),
        Category(2, "box"),
        Category(3, "crab", KeypointSchema(("claw", "other_claw", "leg", "tail"))),
    )
)


def blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A filled ellipse at a random place, at least 6 pixels across, possibly cut by the border."""
    y, x = np.mgrid[:height, :width] + 0.5
    ry, rx = rng.uniform(3, max(4, height / 2)), rng.uniform(3, max(4, width / 2))
    cy, cx = rng.uniform(2, height - 2), rng.uniform(2, width - 2)
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1


def tight_box(mask: np.ndarray) -> list[int]:
    """Corners x0 y0 x1 y1 around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def points_inside(rng: np.random.Generator, mask: np.ndarray, count: int) -> np.ndarray:
    """Keypoints x y v at the centres of random pixels of a mask."""
    chosen = rng.permutation(np.argwhere(mask))[np.arange(count) % mask.sum()]
    return np.column_stack([chosen[:, ::-1] + 0.5, rng.integers(1, 3, count)])


def pack(
    masks: list[np.ndarray],
    labels: list[int],
    keypoints: np.ndarray | None = None,
    boxes: list[list[float]] | None = None,
    folder: Path = Path(),
    categories: Categories = CATEGORIES,
) -> PackedAnnotations:
    """Packed annotations of one image; boxes are tight around the masks, areas are those of the masks.

    Args:
        masks: One per instance, all of the image's size; at least one.
        labels: Class of each instance.
        keypoints: M x K x 3, None where keypoints are not labelled.
        boxes: Other boxes, xyxy.
        folder: Where the image ``image.png`` lies.
        categories: The classes.
    """
    count, most = len(masks), categories.max_keypoints
    rles = [encode_rle(mask).counts.encode() for mask in masks]
    empty = np.zeros((0, most, 3))
    return PackedAnnotations(
        categories=categories,
        members=(Member("shapes", folder),),
        file_names=np.array([b"image.png"]),
        image_ids=np.array([1]),
        sizes=np.array([masks[0].shape], np.int32),
        has=np.array([3 if keypoints is None else 7], np.uint8),
        first=np.array([0, count]),
        boxes=np.array(boxes or [tight_box(mask) for mask in masks], np.float32),
        labels=np.array(labels, np.int32),
        ids=np.arange(count) + 100,
        areas=np.array([mask.sum() for mask in masks], np.float32),
        crowd=np.zeros(count, bool),
        keypoint_rows=np.array([-1 if keypoints is None else row for row in range(count)], np.int32),
        keypoints=np.asarray(empty if keypoints is None else keypoints, np.float32),
        mask_first=np.cumsum([0, *(len(rle) for rle in rles)]),
        mask_bytes=np.frombuffer(b"".join(rles), np.uint8),
    )
