"""Boxes and labels of a batch, padded."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.boxes import xyxy_to_cxcywh


@dataclass(frozen=True)
class DetTargets:
    """What the detection loss reads.

    Attributes:
        labels: Class column of each object; 0 in padding.
        boxes: Objects, cx cy w h relative to the canvas; zero in padding.
        valid: Which objects exist.
        labelled: Which images carry boxes.
        counts: Number of objects of each image.
        annotated: Class columns annotated in each image; those that are no category count as annotated.
        objects: Row of each object in the annotations of its image, on the CPU; 0 in padding.
    """

    labels: Int64[Tensor, "B M"]
    boxes: Float[Tensor, "B M 4"]
    valid: Bool[Tensor, "B M"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]
    annotated: Bool[Tensor, "B C"]
    objects: Int64[Tensor, "B M"]


def make_targets(
    annotations: Sequence[Annotations],
    canvas: tuple[int, int],
    device: torch.device,
    columns: Int64[Tensor, " C"],
    classes: int,
) -> DetTargets:
    """Pad the boxes of a batch; crowds and images without box labels give none.

    Args:
        annotations: One entry per image, in canvas pixels.
        canvas: Rows H and columns W.
        device: Where the tensors go.
        columns: Class column of the head for each category.
        classes: Number of class columns.
    """
    keep = [~a.is_crowd if "boxes" in a.has else torch.zeros_like(a.is_crowd) for a in annotations]
    counts = tuple(int(k.sum()) for k in keep)
    labels = torch.zeros(len(annotations), max(counts, default=0), dtype=torch.int64)
    boxes = torch.zeros(*labels.shape, 4)
    valid, objects = torch.zeros(labels.shape, dtype=torch.bool), torch.zeros_like(labels)
    size = torch.tensor([canvas[1], canvas[0], canvas[1], canvas[0]], dtype=torch.float32)
    for i, (annotation, kept, count) in enumerate(zip(annotations, keep, counts, strict=True)):
        labels[i, :count] = columns[annotation.labels[kept]]
        boxes[i, :count] = xyxy_to_cxcywh(annotation.boxes[kept].float() / size)
        valid[i, :count], objects[i, :count] = True, kept.nonzero()[:, 0]
    labelled = torch.tensor(["boxes" in a.has for a in annotations], dtype=torch.bool)
    annotated = torch.ones(len(annotations), classes, dtype=torch.bool)
    annotated[:, columns] = annotated_classes(annotations, len(columns))
    return DetTargets(
        labels=labels.to(device),
        boxes=boxes.to(device),
        valid=valid.to(device),
        labelled=labelled.to(device),
        counts=counts,
        annotated=annotated.to(device),
        objects=objects,
    )
