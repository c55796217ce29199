"""What is known about one image: boxes, masks and keypoints, and which of these are labelled."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.categories import Categories

#: The kinds of label that objects can have; a task names those it learns from in ``needs``, and dense labels.
LABEL_KINDS = ("boxes", "masks", "keypoints")


@dataclass(frozen=True)
class Annotations:
    """The annotated instances of one image, in pixels of the canvas the model sees.

    An image that lacks a kind of label is not an image without objects: ``has`` says what is labelled, and
    losses skip what is not.

    Attributes:
        boxes: Corners x0 y0 x1 y1 in pixels.
        labels: Category of each instance, as an index into ``Categories``.
        masks: Visible pixels of each instance, or None where masks are not labelled.
        keypoints: x, y in pixels and COCO visibility (0 not labelled, 1 hidden, 2 visible); rows of
            categories without keypoints are zero. None where keypoints are not labelled.
        is_crowd: Whether an annotation stands for a group of objects; losses leave crowds out.
        areas: Area of each instance in square pixels: of its mask where known, else as annotated.
        ids: Annotation ids of the data set.
        has: Which of ``LABEL_KINDS`` are labelled in this image, and which dense labels.
        maps: Dense labels by name, one number per pixel of the image, NaN where a pixel is not labelled. The
            names are those of the data set: core knows none.
    """

    boxes: Float[Tensor, "M 4"]
    labels: Int64[Tensor, " M"]
    masks: Bool[Tensor, "M H W"] | None
    keypoints: Float[Tensor, "M K 3"] | None
    is_crowd: Bool[Tensor, " M"]
    areas: Float[Tensor, " M"]
    ids: Int64[Tensor, " M"]
    has: frozenset[str]
    maps: Mapping[str, Float[Tensor, "H W"]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of instances."""
        return int(self.boxes.shape[0])


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
