"""A data set moved to the categories and keypoints of a model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import IMAGE_LABELS, LABEL_KINDS, UNASKED
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_train.data.image_labels import PackedImageLabels
from mtvit_train.data.merging.categories import Merge, place
from mtvit_train.data.packed import PackedAnnotations


def fit(packed: PackedAnnotations, known: Categories, merge: Merge, where: str) -> PackedAnnotations:
    """Return a data set in the categories of a model; those that it does not list count as not annotated.

    Keypoints are moved by name to the model's schema of the category. Its keypoints that the data set does
    not have become ``UNASKED``, those that only the data set has are left out; see ``notes_of_keypoints``.

    Args:
        packed: One data set.
        known: Categories of the model.
        merge: What makes two categories the same.
        where: What messages name as the place.

    Raises:
        DataError: the model lacks a category, or its schema shares no keypoint with that of the data set.
    """
    if not labels_objects(packed):  # its categories stand for none
        packed = replace(packed, categories=replace(known, images=packed.categories.images))
    labels = [place(category, known, merge, where) for category in packed.categories]
    annotated = np.zeros(len(known), bool)
    annotated[labels] = True
    (member,) = packed.members
    shown = _moved_image_labels(packed, known, merge, where)
    points, rows = _moved(packed, known, labels, where), packed.keypoint_rows
    posed = np.append(np.asarray((points[:, :, 2] > 0).any(1)), False)  # the last for rows of -1
    return replace(
        packed,
        categories=known,
        members=(
            replace(
                member,
                annotated=None if annotated.all() else annotated,
                judged=_judged(member.judged, labels, len(packed.categories), len(known)),
                image_labels=shown,
            ),
        ),
        labels=np.array(labels, np.int32)[packed.labels],
        keypoint_rows=np.where(posed[rows], rows, -1),
        keypoints=points,
    )


def labels_objects(packed: PackedAnnotations) -> bool:
    """Tell whether a data set says anything of objects, be it that there are none.

    Where it does not, as with classes of whole images alone, its categories stand for none.
    """
    return bool(packed.has.any()) or packed.instances > 0


def labels_anything(packed: PackedAnnotations) -> bool:
    """Tell whether a data set has any label: of objects, of pixels or of whole images."""
    members = packed.members
    return labels_objects(packed) or any(one.maps or one.image_labels is not None for one in members)


def _judged(
    bits: UInt8[ndarray, "I bytes"] | None, labels: Sequence[int], own: int, classes: int
) -> UInt8[ndarray, "I bytes2"] | None:
    """Return which of the model's categories are annotated in each image."""
    if bits is None:
        return None
    known = np.zeros((len(bits), classes), bool)
    known[:, labels] = np.unpackbits(bits, axis=1, count=own) > 0
    return np.packbits(known, axis=1)


def _moved_image_labels(
    packed: PackedAnnotations, known: Categories, merge: Merge, where: str
) -> PackedImageLabels | None:
    """Return the classes of whole images as those of the model; None where it knows none."""
    (member,) = packed.members
    if member.image_labels is None or not known.images:
        return None
    ours = known.of_images
    labels = [place(category, ours, merge, where) for category in packed.categories.of_images]
    return member.image_labels.moved(labels, len(ours))


def _moved(
    packed: PackedAnnotations, known: Categories, labels: Sequence[int], where: str
) -> Float32[ndarray, "P K 3"]:
    """Return the keypoints of all objects in the schemas of the model."""
    moved = np.zeros((len(packed.keypoints), known.max_keypoints, 3), np.float32)
    owner, posed = np.full(len(moved), -1), packed.keypoint_rows >= 0
    owner[packed.keypoint_rows[posed]] = packed.labels[posed]
    for label in packed.categories.keypoint_labels:
        category, schema = packed.categories[label], known[labels[label]].keypoints
        ours, theirs = pairs(category, schema, where)
        rows = np.flatnonzero(owner == label)[:, None]
        assert schema is not None
        moved[rows, np.arange(len(schema.names)), 2] = UNASKED
        moved[rows, ours] = packed.keypoints[rows, theirs]
    return moved


def pairs(category: Category, schema: KeypointSchema | None, where: str) -> tuple[list[int], list[int]]:
    """Return the places of equal keypoints in the model's schema and in a data set's.

    Raises:
        DataError: there are none.
    """
    assert category.keypoints is not None
    names = category.keypoints.names
    known = () if schema is None else schema.names
    both = [name for name in known if name in names]
    if not both:
        raise DataError(
            f"{where}: none of the keypoints of {category.name!r} ({', '.join(names[:4])}, ...) is known by "
            f"its name; known are {', '.join(known[:4]) or 'none'}. Name them alike, or leave keypoints out "
            "of its labels."
        )
    return [known.index(name) for name in both], [names.index(name) for name in both]


def notes_of_keypoints(own: Categories, known: Categories, merge: Merge, where: str) -> list[str]:
    """Say which keypoints of a data set a model leaves out, and which the data set does not annotate."""
    notes = []
    for label in own.keypoint_labels:
        category = own[label]
        schema = known[place(category, known, merge, where)].keypoints
        assert category.keypoints is not None
        ours = () if schema is None else schema.names
        out = [name for name in category.keypoints.names if name not in ours]
        lacking = [name for name in ours if name not in category.keypoints.names]
        if out or lacking:
            notes.append(
                f"{where}: of the keypoints of {category.name!r}, left out: {', '.join(out) or 'none'}; not "
                f"annotated: {', '.join(lacking) or 'none'}."
            )
    return notes


def keep_labels(packed: PackedAnnotations, labels: Sequence[str], where: str) -> PackedAnnotations:
    """Return a data set with some of its kinds of label; all where none is named.

    Raises:
        DataError: a kind is unknown, or no image has it.
    """
    if not labels:
        return packed
    there = {kind for bit, kind in enumerate(LABEL_KINDS) if (packed.has >> bit & 1).any()}
    (member,) = packed.members
    there |= set() if member.image_labels is None else {IMAGE_LABELS}
    for kind in labels:
        if kind not in there | set(member.maps):
            kinds = (*LABEL_KINDS, IMAGE_LABELS)
            found = ", ".join([*(k for k in kinds if k in there), *member.maps])
            raise DataError(f"{where}: labels names {kind!r}, but no image has it; it has {found or 'none'}.")
    bits = sum(1 << bit for bit, kind in enumerate(LABEL_KINDS) if kind in labels)
    maps = {name: entry for name, entry in member.maps.items() if name in labels}
    segments = member.segments if "masks" in labels else None
    shown = member.image_labels if IMAGE_LABELS in labels else None
    members = (replace(member, maps=maps, segments=segments, image_labels=shown),)
    kept = replace(packed, has=packed.has & np.uint8(bits), members=members)
    if shown is None:
        kept = replace(kept, categories=replace(kept.categories, images=()))
    return kept if "keypoints" in labels else _without_keypoints(kept)


def _without_keypoints(packed: PackedAnnotations) -> PackedAnnotations:
    """Return a data set whose categories have no keypoints."""
    items = tuple(replace(category, keypoints=None) for category in packed.categories)
    categories = replace(packed.categories, items=items)
    return replace(
        packed,
        categories=categories,
        keypoint_rows=np.full_like(packed.keypoint_rows, -1),
        keypoints=np.zeros((0, 0, 3), np.float32),
    )
