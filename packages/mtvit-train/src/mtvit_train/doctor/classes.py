"""How the objects are spread over the categories, and what is known about their keypoints."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mtvit_core.sides import unpaired
from mtvit_core.structures.annotations import IMAGE_LABELS
from mtvit_core.structures.categories import Category
from mtvit_train.data.merging.stated_keypoints import STAND_IN_SIGMA
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.doctor.finding import Finding, listing

#: A category with this many times fewer objects than the most frequent one is called rare.
RARE = 100


@dataclass(frozen=True)
class ClassCount:
    """Objects of a category in one split.

    Attributes:
        id: Of the category.
        name: Of the category.
        instances: Objects, without crowds; of a class of whole images, images.
        images: Images that hold one.
        posed: Objects with a labelled keypoint; None where the category has no keypoints.
    """

    id: int
    name: str
    instances: int
    images: int
    posed: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def count_classes(packed: PackedAnnotations) -> list[ClassCount]:
    """Count the objects of every category."""
    image = np.repeat(np.arange(len(packed)), np.diff(packed.first))
    counts = []
    for label, category in enumerate(packed.categories):
        mine = (packed.labels == label) & ~packed.crowd
        posed = None if category.keypoints is None else int((mine & (packed.keypoint_rows >= 0)).sum())
        images = len(np.unique(image[mine]))
        counts.append(ClassCount(category.id, category.name, int(mine.sum()), images, posed))
    return counts


def count_image_classes(packed: PackedAnnotations) -> list[ClassCount]:
    """Count the images of every class of whole images; nothing where none is labelled."""
    labelled = packed.mapped(IMAGE_LABELS).nonzero()[0].tolist()
    if not labelled:
        return []
    shown = [packed.image_labels(index) for index in labelled]
    totals = sum(one.present for one in shown if one is not None)
    assert isinstance(totals, Tensor)
    pairs = zip(packed.categories.of_images, totals.int().tolist(), strict=True)
    return [ClassCount(category.id, category.name, count, count, None) for category, count in pairs]


def odd_classes(
    counts: dict[str, list[ClassCount]], check: str = "classes", counted: str = "object"
) -> list[Finding]:
    """Find categories that training cannot learn, or that validation cannot score.

    Args:
        counts: Of every category, by split.
        check: Name of the check.
        counted: What is counted.
    """
    findings = []
    for split, classes in counts.items():
        none = [one.name for one in classes if not one.instances]
        if none:
            what = "is not learnt" if split == "train" else "is not scored"
            message = (
                f"categories without an {counted}: {len(none)} of {len(classes)}, so each {what}: "
                f"{listing(none)}."
            )
            findings.append(Finding("doubt", check, split, message))
    most = max(counts.get("train", []), key=lambda one: one.instances, default=None)
    rare = [
        f"{one.name} ({one.instances})"
        for one in counts.get("train", [])
        if most is not None and 0 < one.instances * RARE <= most.instances
    ]
    if most is not None and rare:
        message = (
            f"categories with {RARE} times fewer {counted}s than {most.name} ({most.instances}): "
            f"{len(rare)}, as {listing(rare)}."
        )
        findings.append(Finding("doubt", check, "train", message))
    return findings


def odd_keypoints(packed: PackedAnnotations, split: str) -> list[Finding]:
    """Find keypoint schemas that cannot be scored or mirrored, and keypoints that are never labelled."""
    return [
        Finding("doubt", "keypoints", split, message)
        for label in packed.categories.keypoint_labels
        for message in _of_schema(packed, label, packed.categories[label])
    ]


def _of_schema(packed: PackedAnnotations, label: int, category: Category) -> list[str]:
    schema, where = category.keypoints, f"category {category.name!r}"
    assert schema is not None
    messages = []
    if not schema.sigmas:
        messages.append(
            f"{where} has no sigmas, so its poses are scored with {STAND_IN_SIGMA} for each keypoint; give "
            f"one per keypoint, in the file or by keypoints.{category.name}.sigmas."
        )
    if not schema.flip_pairs:
        odd = unpaired(schema.names)
        why = f"no partner or side is known of {listing(list(odd))}" if odd else "no name tells a side"
        messages.append(
            f"{where}: left and right of its keypoints are not known ({why}), so its images are never "
            f"mirrored; name the pairs by keypoints.{category.name}.flip_pairs."
        )
    rows = packed.keypoint_rows[(packed.labels == label) & (packed.keypoint_rows >= 0)]
    labelled = (packed.keypoints[rows, :, 2] > 0).sum(0)
    never = [name for name, count in zip(schema.names, labelled, strict=False) if not count]
    if not len(rows):
        messages.append(f"{where} has keypoints, but no object has a labelled one.")
    elif never:
        messages.append(f"{where}: no object has these keypoints labelled: {listing(never)}.")
    return messages
