"""How much of a data set is labelled for a task."""

from collections.abc import Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_train.data.packed import PackedAnnotations


@dataclass(frozen=True)
class Coverage:
    """What of a split teaches a task.

    Attributes:
        images: Images that carry every kind of label the task needs, objects or not.
        instances: Objects on them that count: no crowds, and only those with a mask or a labelled keypoint
            where the task needs masks or keypoints.
    """

    images: int
    instances: int


def coverage(packed: PackedAnnotations, needs: Set[str]) -> tuple[Coverage, ...]:
    """Count what is labelled for a task in each data set of a split.

    Args:
        packed: A split.
        needs: Kinds of label that the task learns from.
    """
    images, counted = labelled(packed, needs), _counted(packed, needs)
    ends = np.cumsum([0, *packed.sizes_of_members])
    return tuple(
        Coverage(int(images[a:b].sum()), int(counted[packed.first[a] : packed.first[b]].sum()))
        for a, b in pairwise(ends)
    )


def labelled_objects(packed: PackedAnnotations, needs: Set[str]) -> Int64[ndarray, " I"]:
    """Count the objects of each image that count for a task."""
    ends = np.concatenate([[0], np.cumsum(_counted(packed, needs))])
    counts: Int64[ndarray, " I"] = ends[packed.first[1:]] - ends[packed.first[:-1]]
    return counts


def _counted(packed: PackedAnnotations, needs: Set[str]) -> Bool[ndarray, " M"]:
    """Tell which objects count for a task: on labelled images, no crowds, with what the task needs."""
    images = labelled(packed, needs)
    counted = np.repeat(images, np.diff(packed.first)) & ~packed.crowd
    if "masks" in needs:
        counted &= np.diff(packed.mask_first) > 0
    if "keypoints" in needs:
        counted &= packed.keypoint_rows >= 0
    return np.asarray(counted, bool)


def labelled(packed: PackedAnnotations, needs: Set[str]) -> Bool[ndarray, " I"]:
    """Tell which images carry every kind of label."""
    there = np.ones(len(packed), bool)
    for bit, kind in enumerate(LABEL_KINDS):
        if kind in needs:
            there &= (packed.has >> bit & 1).astype(bool)
    for name in sorted(needs - {*LABEL_KINDS}):
        there &= packed.mapped(name)
    return there
