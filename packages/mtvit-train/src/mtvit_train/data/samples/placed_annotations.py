"""Annotations on the canvas: moved with the image, clipped, dropped where nothing is left."""

from collections.abc import Sequence, Set

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.structures.annotations import IMAGE_LABELS, UNASKED, Annotations, swap_sides
from mtvit_core.structures.boxes import box_area
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.masks import Rle
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.placement import Placement

#: Instances whose clipped box covers less than this many canvas pixels are dropped.
MIN_BOX_AREA = 1.0


def place_annotations(
    packed: PackedAnnotations, index: int, placement: Placement, needs: Set[str]
) -> Annotations:
    """Return the annotations of one image on the canvas.

    Boxes are clipped to the part of the canvas that holds the image. Where the window cuts a box and the mask
    is known, the box is drawn tight around what is left of the mask, because a clipped box can reach far
    beyond what is visible. Areas are those of the masks where known, else the annotated area times the share
    of the box that is left. Keypoints outside the window lose their label (visibility 0, x and y 0).
    Instances whose box is left with less than one pixel, or whose mask is left with none, are dropped.

    Args:
        packed: Annotations of the split.
        index: Which image.
        placement: Where the image lands.
        needs: Kinds of label wanted; others are neither decoded nor listed in ``has``.
    """
    rows = packed.rows(index)
    has = packed.image(index).has & needs
    labels = torch.from_numpy(packed.labels[rows].astype(np.int64))
    whole = placement.boxes(torch.from_numpy(packed.boxes[rows].copy()))
    boxes = _clip(whole, placement.content)
    left = box_area(boxes) / box_area(whole)
    areas = torch.from_numpy(packed.areas[rows].copy()) * (placement.scale[0] * placement.scale[1]) * left
    keep = box_area(boxes) >= MIN_BOX_AREA
    masks = None
    if "masks" in has:
        masks = _masks([packed.rle(row, index) for row in range(rows.start, rows.stop)], keep, placement)
        pixels = torch.tensor([int(np.count_nonzero(plane)) for plane in masks.numpy()])
        cut = ((boxes - whole).abs().amax(1) > 0) & (pixels > 0)
        boxes[cut] = tight(masks[cut])
        areas, keep = pixels.float(), keep & (pixels > 0)
        masks = masks if keep.all() else masks[keep]
    keypoints = None
    if "keypoints" in has:
        points = torch.from_numpy(packed.points(rows))[keep]
        keypoints = place_keypoints(points, labels[keep], placement, packed.categories)
    return Annotations(
        boxes=boxes[keep],
        labels=labels[keep],
        masks=masks,
        keypoints=keypoints,
        is_crowd=torch.from_numpy(packed.crowd[rows].copy())[keep],
        areas=areas[keep],
        ids=torch.from_numpy(packed.ids[rows].copy())[keep],
        has=has,
        maps={name: placement.dense(values) for name, values in packed.dense(index, needs).items()},
        annotated=packed.annotated(index),
        image_labels=packed.image_labels(index) if IMAGE_LABELS in has else None,
    )


def place_keypoints(
    keypoints: Float[Tensor, "M K 3"],
    labels: Int64[Tensor, " M"],
    placement: Placement,
    categories: Categories,
) -> Float[Tensor, "M K 3"]:
    """Move keypoints onto the canvas; a flip also swaps left and right as each category's schema says.

    Keypoints that are not labelled, or that leave the part of the canvas that holds the image, become zeros;
    those that the data set does not annotate stay so.
    """
    if placement.flip:
        keypoints = swap_sides(keypoints, labels, categories)
    points, visibility = placement.points(keypoints[..., :2]), keypoints[..., 2:]
    rows, columns = placement.content
    inside = ((points >= 0) & (points < points.new_tensor([columns, rows]))).all(-1, keepdim=True)
    placed = torch.cat([points, visibility], -1) * (inside & (visibility > 0))
    placed[..., 2:][visibility == UNASKED] = UNASKED
    return placed


def may_flip(labels: Int64[Tensor, " M"], categories: Categories) -> bool:
    """Return whether an image with these classes may be mirrored.

    It may not if one of them has keypoints whose left and right are unknown.
    """
    schemas = [categories[label].keypoints for label in set(labels.tolist())]
    return all(schema is None or bool(schema.flip_pairs) for schema in schemas)


def _clip(boxes: Float[Tensor, "M 4"], content: tuple[int, int]) -> Float[Tensor, "M 4"]:
    rows, columns = content
    return boxes.clamp(min=0).minimum(boxes.new_tensor([columns, rows, columns, rows]))


def _masks(
    rles: Sequence[Rle | None], keep: Bool[Tensor, " M"], placement: Placement
) -> Bool[Tensor, "M H W"]:
    out = np.zeros((len(rles), *placement.canvas), bool)
    for plane, rle, wanted in zip(out, rles, keep.tolist(), strict=True):
        if wanted and rle is not None:
            placement.mask(rle, plane)
    return torch.from_numpy(out)


def tight(masks: Bool[Tensor, "M H W"]) -> Float[Tensor, "M 4"]:
    """Corners around the True pixels of each mask; any value for an empty mask."""
    ends = []
    for axis in (1, 2):
        filled = masks.any(axis).to(torch.uint8)
        ends.append((filled.argmax(1), filled.shape[1] - filled.flip(1).argmax(1)))
    (x0, x1), (y0, y1) = ends
    return torch.stack([x0, y0, x1, y1], -1).float()
