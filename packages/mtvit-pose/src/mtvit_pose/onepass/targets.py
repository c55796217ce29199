"""What the one-pass loss reads: the people of a batch, padded to the most of one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.annotations import UNASKED, Annotations, annotated_classes
from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_core.structures.categories import Categories
from mtvit_pose.oks import DEFAULT_SIGMA

#: Keypoints are annotated with the box of their person, in an image where all people are.
NEEDS = frozenset({"keypoints"})


@dataclass(frozen=True)
class PoseTargets:
    """People of a batch: instances whose category has keypoints; rows past an image's count are padding.

    Attributes:
        classes: Class of each person among the categories that have keypoints.
        boxes: cx cy w h relative to the canvas.
        points: x, y relative to the canvas.
        known: Keypoints that are labelled, hidden or visible.
        valid: Rows that hold a person.
        areas: Areas in square canvas pixels, at least 1.
        sigmas: Sigma of each keypoint; ``DEFAULT_SIGMA`` where the schema gives none.
        exists: Keypoints that the person's schema has, and that the data set annotates.
        unknown: Keypoints of the schema about which nobody said anything: the data set does not annotate
            them, or no keypoint of the person is labelled.
        counts: People of each image.
        labelled: Whether keypoints of the image are labelled.
        annotated: Classes annotated in each image.
        hidden: Keypoints that some class not annotated in the image has.
        objects: Row of each person in the annotations of its image, on the CPU; 0 in padding.
    """

    classes: Int64[Tensor, "B M"]
    boxes: Float[Tensor, "B M 4"]
    points: Float[Tensor, "B M K 2"]
    known: Bool[Tensor, "B M K"]
    valid: Bool[Tensor, "B M"]
    areas: Float[Tensor, "B M"]
    sigmas: Float[Tensor, "B M K"]
    exists: Bool[Tensor, "B M K"]
    unknown: Bool[Tensor, "B M K"]
    counts: tuple[int, ...]
    labelled: Bool[Tensor, " B"]
    annotated: Bool[Tensor, "B C"]
    hidden: Bool[Tensor, "B K"]
    objects: Int64[Tensor, "B M"]

    @cached_property
    def posed(self) -> Bool[Tensor, "B M"]:
        """People with at least one labelled keypoint; the others teach class and box only."""
        return self.known.any(-1)


def keypoint_names(categories: Categories) -> list[str]:
    """Return a name for each place of a keypoint: that of the first category that has one there."""
    schemas = [category.keypoints.names for category in categories if category.keypoints is not None]
    return [next(names[k] for names in schemas if k < len(names)) for k in range(categories.max_keypoints)]


def schema_table(categories: Categories) -> tuple[Float[Tensor, "C K"], Bool[Tensor, "C K"]]:
    """Sigmas and existence of the keypoints of every category that has some, padded to the most keypoints."""
    labels = categories.keypoint_labels
    sigmas = torch.full((len(labels), categories.max_keypoints), DEFAULT_SIGMA)
    exists = torch.zeros(sigmas.shape, dtype=torch.bool)
    for row, label in enumerate(labels):
        schema = categories[label].keypoints
        assert schema is not None
        exists[row, : len(schema.names)] = True
        if schema.sigmas:
            sigmas[row, : len(schema.sigmas)] = torch.tensor(schema.sigmas)
    return sigmas, exists


def pose_targets(
    annotations: Sequence[Annotations], categories: Categories, canvas: tuple[int, int], device: torch.device
) -> PoseTargets:
    """Collect and pad the people of a batch.

    Args:
        annotations: One entry per image, in canvas pixels.
        categories: Classes that the labels index.
        canvas: Rows H and columns W.
        device: Where the tensors go.
    """
    labelled = [entry.has >= NEEDS for entry in annotations]
    class_of_label = torch.full((len(categories),), -1)
    class_of_label[list(categories.keypoint_labels)] = torch.arange(len(categories.keypoint_labels))
    people = [
        (class_of_label[entry.labels] >= 0) & ~entry.is_crowd
        if known
        else torch.zeros(len(entry), dtype=torch.bool)
        for entry, known in zip(annotations, labelled, strict=True)
    ]
    counts = tuple(int(rows.sum()) for rows in people)
    # At least one row of padding: a batch without people then needs no case of its own.
    shape = (len(annotations), max(1, *counts))
    keypoints = torch.zeros(*shape, categories.max_keypoints, 3)
    classes, boxes, areas = torch.zeros(shape, dtype=torch.int64), torch.zeros(*shape, 4), torch.ones(shape)
    objects = torch.zeros_like(classes)
    for image, (entry, rows, count) in enumerate(zip(annotations, people, counts, strict=True)):
        if count:
            assert entry.keypoints is not None
            objects[image, :count] = rows.nonzero()[:, 0]
            classes[image, :count] = class_of_label[entry.labels[rows]]
            boxes[image, :count] = entry.boxes[rows]
            areas[image, :count] = entry.areas[rows].clamp(min=1)
            keypoints[image, :count] = entry.keypoints[rows]
    valid = torch.arange(shape[1]) < torch.tensor(counts)[:, None]
    size = torch.tensor([canvas[1], canvas[0]])
    sigma_of_class, has_keypoint = schema_table(categories)
    sigmas, exists = sigma_of_class[classes], has_keypoint[classes]
    known = (keypoints[..., 2] > 0) & valid[..., None]
    unasked = keypoints[..., 2] == UNASKED
    unknown = exists & valid[..., None] & (unasked | ~known.any(-1, keepdim=True))
    annotated = annotated_classes(annotations, len(categories))[:, list(categories.keypoint_labels)]
    return PoseTargets(
        classes=classes.to(device),
        boxes=xyxy_to_cxcywh(boxes / size.repeat(2)).to(device),
        points=(keypoints[..., :2] / size).to(device),
        known=known.to(device),
        valid=valid.to(device),
        areas=areas.to(device),
        sigmas=sigmas.to(device),
        exists=(exists & ~unasked).to(device),
        unknown=unknown.to(device),
        counts=counts,
        labelled=torch.tensor(labelled, dtype=torch.bool).to(device),
        annotated=annotated.to(device),
        hidden=(~annotated[..., None] & has_keypoint).any(1).to(device),
        objects=objects,
    )
