"""Pictures of results and of annotations: masks, boxes, skeletons, names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from mtvit_core.arguments import NUMBER, refuse, require
from mtvit_core.drawing.contact_sheet import contact_sheet
from mtvit_core.drawing.overlay import Overlay, Rectangle
from mtvit_core.drawing.palette import HEADING, LEFT, MIDDLE, RIGHT, UNTRACKED, Colour, class_colour
from mtvit_core.errors import DataError, ShapeError
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import decode_rle

__all__ = ["contact_sheet", "draw_annotations", "draw_instances"]


@dataclass(frozen=True)
class _Thing:
    """One object as it is drawn.

    Attributes:
        name: What is written at it.
        colour: Colour of its box, mask and name.
        limbs: Colour of its skeleton; None for the colours of its sides.
        box: Corners in pixels.
        mask: Its pixels, None where unknown.
        points: x, y and visibility (0 not drawn, 1 inferred, 2 seen) of its keypoints, None where unknown.
        schema: How the keypoints connect.
    """

    name: str
    colour: Colour
    limbs: Colour | None
    box: Rectangle
    mask: Bool[ndarray, "H W"] | None
    points: Float[ndarray, "K 3"] | None
    schema: KeypointSchema | None


def draw_instances(
    image: UInt8[Tensor, "3 H W"],
    instances: Instances,
    min_keypoint_score: float = 0.3,
    by_object: bool = False,
    tracks: Sequence[int | None] = (),
    heading: str = "",
) -> Image.Image:
    """Draw what a model found: every row with its box, name, mask and skeleton.

    Args:
        image: The original image, RGB.
        instances: Results in its pixels; choose scores before with ``instances.above(score)``.
        min_keypoint_score: Keypoints below it are left out.
        by_object: Give each object a colour of its own, its limbs too, in place of the colours of classes and
            sides.
        tracks: Number of each object through a video, None where it has none. It stands behind the name, and
            an object keeps its colour as long as its number; those without are grey.
        heading: Written in the upper left corner, such as the classes of the whole image.

    Returns:
        A picture of the image's size, or a whole multiple of it where the image is small.
    """
    require("draw_instances: instances", instances, Instances, "Instances, as result.instances", DataError)
    require("draw_instances: min_keypoint_score", min_keypoint_score, NUMBER, "a number from 0 to 1")
    require("draw_instances: by_object", by_object, (bool, np.bool_), "True or False")
    require("draw_instances: heading", heading, str, "a text")
    things = []
    for i, rle in enumerate(instances.rles):
        label = int(instances.labels[i])
        category = instances.categories[label]
        track = tracks[i] if tracks else None
        own = class_colour(i) if not tracks else UNTRACKED if track is None else class_colour(track - 1)
        points = instances.keypoints[i].numpy(force=True).copy()
        points[:, 2] = np.where(points[:, 2] >= min_keypoint_score, 2, 0)
        things.append(
            _Thing(
                name=f"{_called(category.name, track)} {float(instances.scores[i]):.2f}",
                colour=own if by_object else class_colour(label),
                limbs=own if by_object else None,
                box=_rectangle(instances.boxes[i]),
                mask=None if rle is None else decode_rle(rle),
                points=None if np.isnan(points).any() else points,
                schema=category.keypoints,
            )
        )
    return _draw(image, things, heading)


def draw_annotations(
    image: UInt8[Tensor, "3 H W"], annotations: Annotations, categories: Categories
) -> Image.Image:
    """Draw what is annotated; keypoints that are hidden in the image are drawn as rings.

    Classes of the whole image are written in its upper left corner.

    Args:
        image: RGB.
        annotations: In its pixels.
        categories: Classes that the labels index.

    Returns:
        A picture of the image's size, or a whole multiple of it where the image is small.
    """
    require("draw_annotations: annotations", annotations, Annotations, "Annotations", DataError)
    require("draw_annotations: categories", categories, Categories, "Categories", DataError)
    things = []
    for i, label in enumerate(annotations.labels.tolist()):
        crowd = bool(annotations.is_crowd[i])
        things.append(
            _Thing(
                name=f"{categories[label].name} (crowd)" if crowd else categories[label].name,
                colour=class_colour(label),
                limbs=None,
                box=_rectangle(annotations.boxes[i]),
                mask=None if annotations.masks is None else annotations.masks[i].numpy(force=True),
                points=None if annotations.keypoints is None else annotations.keypoints[i].numpy(force=True),
                schema=categories[label].keypoints,
            )
        )
    return _draw(image, things, _shown_classes(annotations, categories))


def _shown_classes(annotations: Annotations, categories: Categories) -> str:
    """Names of the classes of an image, with their shares where images are mixed."""
    if annotations.image_labels is None:
        return ""
    shares = zip(categories.of_images, annotations.image_labels.present.tolist(), strict=True)
    return ", ".join(one.name if share == 1 else f"{one.name} {share:.2f}" for one, share in shares if share)


def _called(name: str, track: int | None) -> str:
    return name if track is None else f"{name} #{track}"


def _draw(image: UInt8[Tensor, "3 H W"], things: Sequence[_Thing], heading: str) -> Image.Image:
    if not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
        raise refuse("draw: image", image, "a uint8 tensor 3 x H x W", ShapeError)
    overlay = Overlay(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy(force=True)))
    # Large ones first, so that small ones stay in sight.
    things = sorted(things, key=lambda thing: -(thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1]))
    for thing in things:
        if thing.mask is not None:
            overlay.mask(thing.mask, thing.colour)
    for thing in things:
        overlay.box(thing.box, thing.colour)
    for thing in things:
        if thing.points is not None and thing.schema is not None:
            size = max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1])
            _skeleton(overlay, thing.points, thing.schema, size, thing.limbs)
    if heading:
        overlay.tag(heading, (0, 0, image.shape[2], image.shape[1]), HEADING)
    for thing in things:
        overlay.tag(thing.name, thing.box, thing.colour)
    return overlay.picture()


def _skeleton(
    overlay: Overlay, points: Float[ndarray, "K 3"], schema: KeypointSchema, size: float, limbs: Colour | None
) -> None:
    sides = _sides(schema) if limbs is None else [limbs] * len(schema.names)
    drawn = [i for i in range(len(schema.names)) if points[i, 2] > 0]
    places = {i: (float(points[i, 0]), float(points[i, 1])) for i in drawn}
    for start, end in schema.skeleton:
        if start in places and end in places:
            # A bone between the two sides, such as the shoulders, belongs to neither.
            colour = sides[start] if sides[end] in (sides[start], MIDDLE) else MIDDLE
            overlay.bone(places[start], places[end], colour, size)
    for i, place in places.items():
        overlay.joint(place, sides[i], size, filled=bool(points[i, 2] > 1))


def _sides(schema: KeypointSchema) -> list[Colour]:
    colours = [MIDDLE] * len(schema.names)
    for left, right in schema.flip_pairs:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def _rectangle(box: Float[Tensor, " 4"]) -> Rectangle:
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1
