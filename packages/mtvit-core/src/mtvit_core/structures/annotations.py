"""What is known about one image: boxes, masks and keypoints, and which of these are labelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.categories import Categories

#: The kinds of label that objects can have; a task names those it learns from in ``needs``, and dense labels.
LABEL_KINDS = ("boxes", "masks", "keypoints")
#: The kind of label that says which classes a whole image shows.
IMAGE_LABELS = "image_labels"
#: The splits of a data set.
SplitName = Literal["train", "val"]
#: Pixels of which nobody knows what they belong to, as in COCO's panoptic files.
UNKNOWN_SEGMENT = 0
#: Pixels that belong to no segment of the known categories.
NO_SEGMENT = -1
#: Visibility of a keypoint that the data set does not annotate, of an object whose other keypoints it does.
UNASKED = -1


@dataclass(frozen=True)
class TrueSegments:
    """What every pixel of an image belongs to.

    Attributes:
        ids: Segment of each pixel: m + 1 for segment m, ``UNKNOWN_SEGMENT`` where nobody knows,
            ``NO_SEGMENT`` where none of the known classes is.
        labels: Category of each segment, as an index into ``Categories``.
        is_crowd: Whether a segment stands for a group of objects.
        known: Categories whose regions are annotated; results of others are neither right nor wrong.
    """

    ids: Int64[Tensor, "H W"]
    labels: Int64[Tensor, " M"]
    is_crowd: Bool[Tensor, " M"]
    known: Bool[Tensor, " C"]


@dataclass(frozen=True)
class TrueImageLabels:
    """Which classes of ``Categories.of_images`` a whole image shows.

    Attributes:
        present: Share of the image that shows each class: 1 and 0, and between them where images are mixed.
        known: Classes that somebody looked for; of others nobody knows whether they are there.
    """

    present: Float[Tensor, " C"]
    known: Bool[Tensor, " C"]


@dataclass(frozen=True)
class Annotations:
    """The annotated instances of one image, in pixels of the canvas the model sees.

    An image that lacks a kind of label is not an image without objects: ``has`` says what is labelled, and
    losses skip what is not. Nor is a category that nobody annotated absent: ``annotated`` says which were.

    Attributes:
        boxes: Corners x0 y0 x1 y1 in pixels.
        labels: Category of each instance, as an index into ``Categories``.
        masks: Visible pixels of each instance, or None where masks are not labelled.
        keypoints: x, y in pixels and COCO visibility (0 not labelled, 1 hidden, 2 visible), or ``UNASKED``
            where the data set does not annotate that keypoint; rows of categories without keypoints are zero.
            None where keypoints are not labelled.
        is_crowd: Whether an annotation stands for a group of objects; losses leave crowds out.
        areas: Area of each instance in square pixels: of its mask where known, else as annotated.
        ids: Annotation ids of the data set.
        has: Which of ``LABEL_KINDS`` are labelled in this image, ``IMAGE_LABELS`` where its classes are, and
            names of dense labels.
        maps: Dense labels by name, NaN where a pixel is not labelled: one plane, or three planes x y z of a
            direction, x to the right, which a mirror turns round. The names are those of the data set: core
            knows none.
        annotated: Categories whose objects are annotated in this image; objects of others may be there
            unseen. None: all are.
        segments: What every pixel of the original image belongs to, where the data set says so and an
            evaluator asks; None otherwise, and in training.
        image_labels: Classes of the whole image; None where they are not labelled.
    """

    boxes: Float[Tensor, "M 4"]
    labels: Int64[Tensor, " M"]
    masks: Bool[Tensor, "M H W"] | None
    keypoints: Float[Tensor, "M K 3"] | None
    is_crowd: Bool[Tensor, " M"]
    areas: Float[Tensor, " M"]
    ids: Int64[Tensor, " M"]
    has: frozenset[str]
    maps: Mapping[str, Float[Tensor, "*planes H W"]] = field(default_factory=dict)
    annotated: Bool[Tensor, " C"] | None = None
    segments: TrueSegments | None = None
    image_labels: TrueImageLabels | None = None

    def __len__(self) -> int:
        """Return the number of instances."""
        return int(self.boxes.shape[0])


def annotated_classes(annotations: Sequence[Annotations], classes: int) -> Bool[Tensor, "B C"]:
    """Return which categories are annotated in each image of a batch: only these may count as background.

    Args:
        annotations: One entry per image.
        classes: Number of categories C.
    """
    every = torch.ones(classes, dtype=torch.bool)
    rows = [every if one.annotated is None else one.annotated for one in annotations]
    return torch.stack(rows) if rows else every[None][:0]


def mirror_map(values: Float[Tensor, "*planes H W"]) -> Float[Tensor, "*planes H W"]:
    """Return a dense label as a mirror shows it; the x of directions changes its sign."""
    mirrored = values.flip(-1)
    return mirrored * mirrored.new_tensor([-1, 1, 1])[:, None, None] if values.ndim == 3 else mirrored


def swap_sides(
    keypoints: Float[Tensor, "M K 3"], labels: Int64[Tensor, " M"], categories: Categories
) -> Float[Tensor, "M K 3"]:
    """Reorder the keypoints of mirrored objects by their schema: the left eye becomes the right one."""
    swapped = keypoints.clone()
    for label in categories.keypoint_labels:
        schema = categories[label].keypoints
        assert schema is not None
        mine = labels == label
        swapped[mine, : len(schema.names)] = keypoints[mine][:, list(schema.flip_order)]
    return swapped
