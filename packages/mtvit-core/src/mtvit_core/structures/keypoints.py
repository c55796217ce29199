"""Keypoint schemas: what the keypoints of a category are called, how they connect, mirror and score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtvit_core.arguments import as_tuple, shown
from mtvit_core.errors import DataError, making_sense_of


@dataclass(frozen=True)
class KeypointSchema:
    """The keypoints of one category.

    Attributes:
        names: One name per keypoint, in the order of the annotations.
        skeleton: Pairs of 0-based keypoint indices that are drawn as bones.
        flip_pairs: Pairs of 0-based indices that a horizontal flip swaps. Empty: left and right are unknown,
            so images with this category are never flipped.
        sigmas: Per-keypoint constants of OKS (COCO's ``k_i = 2 sigma_i``). Empty: unknown; OKS cannot be
            computed.
    """

    names: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that every index and every length fits the names.

        Raises:
            DataError: one does not, a keypoint has two mirror images, or a sigma is not positive.
        """
        for name, kind in (
            ("names", str),
            ("skeleton", Sequence),
            ("flip_pairs", Sequence),
            ("sigmas", float),
        ):
            given = as_tuple(f"keypoint schema: {name}", getattr(self, name), kind)
            object.__setattr__(self, name, given)
        for name in ("skeleton", "flip_pairs"):
            object.__setattr__(self, name, tuple(_pair(name, pair) for pair in getattr(self, name)))
        count = len(self.names)
        for field, pairs in (("skeleton", self.skeleton), ("flip_pairs", self.flip_pairs)):
            bad = [pair for pair in pairs if not all(0 <= i < count for i in pair)]
            if bad:
                raise DataError(
                    f"keypoint schema: {field} holds {bad[0]}, but there are {count} keypoints; "
                    f"use 0-based indices below {count}."
                )
        swapped = [i for pair in self.flip_pairs for i in pair]
        twice = sorted({i for i in swapped if swapped.count(i) > 1})
        if twice:
            raise DataError(
                f"keypoint schema: flip_pairs holds keypoint {twice[0]} ({self.names[twice[0]]}) more than "
                "once; a keypoint has one mirror image at most."
            )
        if self.sigmas and len(self.sigmas) != count:
            raise DataError(
                f"keypoint schema: {len(self.sigmas)} sigmas for {count} keypoints; "
                "give one for each, or none."
            )
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise DataError(f"keypoint schema: the sigmas {self.sigmas} are not all positive numbers.")

    @property
    def flip_order(self) -> tuple[int, ...]:
        """The permutation of a horizontal flip: keypoint i of the mirrored object is old ``order[i]``."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists that ``from_json`` reads back."""
        return {
            "names": list(self.names),
            "skeleton": [list(pair) for pair in self.skeleton],
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "sigmas": list(self.sigmas),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "KeypointSchema":
        """Build a schema from what ``to_json`` returned.

        Raises:
            DataError: it is something else.
        """
        with making_sense_of("keypoint schema: it", "give what KeypointSchema.to_json returns"):
            return cls(
                names=tuple(data["names"]),
                skeleton=tuple((int(a), int(b)) for a, b in data["skeleton"]),
                flip_pairs=tuple((int(a), int(b)) for a, b in data["flip_pairs"]),
                sigmas=tuple(float(s) for s in data["sigmas"]),
            )


def _pair(name: str, pair: Sequence[Any]) -> tuple[int, int]:
    if len(pair) != 2 or not all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in pair):
        raise DataError(f"keypoint schema: {name} holds {shown(pair)}; give pairs of whole numbers.")
    return int(pair[0]), int(pair[1])


_SIDES = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")

COCO_PERSON = KeypointSchema(
    names=("nose", *(f"{side}_{part}" for part in _SIDES for side in ("left", "right"))),
    # Same bones as the COCO annotation files, 0-based.
    skeleton=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    flip_pairs=tuple((i, i + 1) for i in range(1, 17, 2)),
    # COCO keypoint evaluation, per-keypoint standard deviations.
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
)  # fmt: skip
