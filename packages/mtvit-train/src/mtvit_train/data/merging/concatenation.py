"""Several data sets as one: their images one after the other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy import ndarray

from mtvit_train.data.packed import PackedAnnotations


def pool(parts: Sequence[PackedAnnotations]) -> PackedAnnotations:
    """Join data sets of the same categories; each stays a member of its own.

    Images and objects of several data sets are numbered anew, from 1: their ids may collide.

    Args:
        parts: At least one, each of one data set.
    """
    if len(parts) == 1:
        return parts[0]
    firsts = [0, *accumulate(len(part) for part in parts)]
    members = [replace(part.members[0], first=first) for part, first in zip(parts, firsts, strict=False)]
    images, objects = firsts[-1], sum(part.instances for part in parts)
    posed = [0, *accumulate(len(part.keypoints) for part in parts)]
    rows = [
        np.where(part.keypoint_rows >= 0, part.keypoint_rows + first, -1)
        for part, first in zip(parts, posed, strict=False)
    ]
    return PackedAnnotations(
        categories=parts[0].categories,
        members=tuple(members),
        file_names=np.concatenate([part.file_names for part in parts]),
        image_ids=np.arange(1, images + 1, dtype=np.int64),
        sizes=np.concatenate([part.sizes for part in parts]),
        has=np.concatenate([part.has for part in parts]),
        first=_ends([part.first for part in parts]),
        boxes=np.concatenate([part.boxes for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        ids=np.arange(1, objects + 1, dtype=np.int64),
        areas=np.concatenate([part.areas for part in parts]),
        crowd=np.concatenate([part.crowd for part in parts]),
        keypoint_rows=np.concatenate(rows).astype(np.int32),
        keypoints=np.concatenate([part.keypoints for part in parts]),
        mask_first=_ends([part.mask_first for part in parts]),
        mask_bytes=np.concatenate([part.mask_bytes for part in parts]),
        dropped=sum(part.dropped for part in parts),
        unmasked=sum(part.unmasked for part in parts),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _ends(starts: Sequence[ndarray]) -> ndarray:
    """Join lists of bounds, each of which starts at 0."""
    sizes = np.concatenate([np.diff(part) for part in starts])
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
