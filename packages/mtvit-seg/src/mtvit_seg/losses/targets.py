"""Masks, boxes and labels of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_seg.decoding.extent import mask_boxes


@dataclass(frozen=True)
class SegTargets:
    """What the segmentation loss reads; labels and boxes are padded, masks (far larger) are packed.

    Attributes:
        labels: Class of each object; 0 in padding.
        boxes: Boxes of the masks, cx cy w h relative to the canvas; zero in padding.
        valid: Which objects exist.
        labelled: Which images carry masks.
        counts: Number of objects of each image.
        masks: Masks of all objects of the batch on the canvas, image by image.
        image: Image of each packed mask.
        slot: Place of each packed mask among the objects of its image.
        annotated: Classes annotated in each image.
        objects: Row of each object in the annotations of its image, on the CPU; 0 in padding.
    """

    labels: Int64[Tensor, "B M"]
    boxes: Float[Tensor, "B M 4"]
    valid: Bool[Tensor, "B M"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]
    masks: Bool[Tensor, "T H W"]
    image: Int64[Tensor, " T"]
    slot: Int64[Tensor, " T"]
    annotated: Bool[Tensor, "B C"]
    objects: Int64[Tensor, "B M"]

    def on_map(self, size: tuple[int, int]) -> Float[Tensor, "T h w"]:
        """Share of every pixel of a coarse map that each mask covers, in [0, 1]."""
        if not len(self.masks):
            return self.boxes.new_zeros(0, *size)
        return F.interpolate(self.masks[:, None].float(), size=size, mode="area")[:, 0]

    def padded(self, values: Float[Tensor, "T P"]) -> Float[Tensor, "B M P"]:
        """Spread packed rows over images; zeros in padding."""
        out = values.new_zeros(*self.valid.shape, values.shape[1])
        out[self.image, self.slot] = values
        return out


def make_targets(
    annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device, classes: int
) -> SegTargets:
    """Collect the masks of a batch.

    Crowds and masks without a pixel on the canvas are left out; images without mask labels give none.

    Args:
        annotations: One entry per image, in canvas pixels.
        canvas: Rows H and columns W.
        device: Where the tensors go.
        classes: Number of categories.
    """
    kept = [_kept(annotation) for annotation in annotations]
    counts = tuple(int(rows.sum()) for rows in kept)
    empty = torch.zeros(0, *canvas, dtype=torch.bool)
    pairs = list(zip(annotations, kept, strict=True))
    parts = [a.masks[rows] for a, rows in pairs if a.masks is not None and rows.any()]
    masks = torch.cat([empty, *parts]).to(device, non_blocking=True)
    valid = torch.arange(max(counts, default=0)) < torch.tensor(counts, dtype=torch.int64)[:, None]
    image, slot = valid.nonzero(as_tuple=True)
    labels = torch.zeros(valid.shape, dtype=torch.int64)
    labels[image, slot] = torch.cat([a.labels[rows] for a, rows in pairs])
    objects = torch.zeros_like(labels)
    objects[image, slot] = torch.cat([rows.nonzero()[:, 0] for rows in kept])
    boxes = torch.zeros(*valid.shape, 4, device=device)
    size = torch.tensor([canvas[1], canvas[0], canvas[1], canvas[0]], dtype=torch.float32, device=device)
    image, slot = image.to(device), slot.to(device)
    boxes[image, slot] = xyxy_to_cxcywh(mask_boxes(masks) / size)
    return SegTargets(
        labels=labels.to(device),
        boxes=boxes,
        valid=valid.to(device),
        labelled=torch.tensor([_labelled(a) for a in annotations], dtype=torch.bool, device=device),
        counts=counts,
        masks=masks,
        image=image,
        slot=slot,
        annotated=annotated_classes(annotations, classes).to(device),
        objects=objects,
    )


def map_size(masks: Tensor) -> tuple[int, int]:
    """Rows and columns of a map, its last two axes."""
    return int(masks.shape[-2]), int(masks.shape[-1])


def _labelled(annotation: Annotations) -> bool:
    return "masks" in annotation.has and annotation.masks is not None


def _kept(annotation: Annotations) -> Bool[Tensor, " M"]:
    if annotation.masks is None or not _labelled(annotation):
        return torch.zeros(len(annotation), dtype=torch.bool)
    return ~annotation.is_crowd & annotation.masks.flatten(1).any(1)
