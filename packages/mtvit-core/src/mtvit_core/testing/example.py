"""Images with known truth: coloured rectangles and people, on a grid that masks of every head can follow."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mtvit_core.structures.annotations import IMAGE_LABELS, LABEL_KINDS, Annotations, TrueImageLabels
from mtvit_core.structures.boxes import box_area
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON

#: One kind of object with keypoints and two without; ids are neither places in the list nor in order. An
#: image shows two objects or three, which is its class.
CATEGORIES = Categories(
    (Category(7, "crate"), Category(1, "person", COCO_PERSON), Category(90, "panel")),
    (Category(5, "two"), Category(2, "three")),
)

#: Rows and columns of each image, and its objects: category, and x0 y0 x1 y1. All are multiples of 16 pixels,
#: which are 8 on a canvas of half the size: a mask of one pixel in four still has them exactly.
_LAYOUTS: tuple[tuple[int, int, tuple[tuple[str, int, int, int, int], ...]], ...] = (
    (128, 192, (("person", 16, 16, 64, 112), ("crate", 96, 32, 176, 96))),
    (128, 128, (("panel", 64, 64, 128, 112), ("person", 0, 16, 48, 128))),
    (96, 192, (("person", 112, 0, 160, 96), ("person", 16, 16, 64, 96), ("crate", 64, 32, 96, 64))),
    (128, 192, (("person", 80, 16, 144, 112), ("panel", 0, 80, 64, 128), ("panel", 144, 0, 192, 48))),
)
#: Where COCO's keypoints of a standing person are, as shares of the box's width and height.
_FIGURE = (
    (0.50, 0.10), (0.56, 0.07), (0.44, 0.07), (0.63, 0.10), (0.37, 0.10), (0.75, 0.25), (0.25, 0.25),
    (0.85, 0.42), (0.16, 0.40), (0.90, 0.55), (0.10, 0.53), (0.66, 0.55), (0.34, 0.55), (0.68, 0.74),
    (0.31, 0.75), (0.70, 0.93), (0.29, 0.94),
)  # fmt: skip
_COLOURS = {"crate": (220, 60, 40), "person": (60, 200, 80), "panel": (50, 80, 230)}
#: Deviation of the noise of every pixel, of 255.
_NOISE = 16.0


@dataclass(frozen=True)
class Example:
    """An image and all that is known about it.

    Attributes:
        image: The original, RGB, 0 to 255.
        truth: Its annotations, in pixels of the original.
    """

    image: UInt8[Tensor, "3 H W"]
    truth: Annotations

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the original."""
        return int(self.image.shape[1]), int(self.image.shape[2])


def draw_examples() -> tuple[Example, ...]:
    """Return images of several sizes with boxes, masks and keypoints of ``CATEGORIES``, always the same."""
    generator = torch.Generator().manual_seed(0)
    return tuple(_draw(*layout, generator) for layout in _LAYOUTS)


def _draw(
    rows: int,
    columns: int,
    objects: Sequence[tuple[str, int, int, int, int]],
    generator: torch.Generator,
) -> Example:
    names = [category.name for category in CATEGORIES]
    labels = torch.tensor([names.index(name) for name, *_ in objects])
    boxes = torch.tensor([corners for _, *corners in objects], dtype=torch.float32)
    masks = torch.zeros(len(objects), rows, columns, dtype=torch.bool)
    image = torch.full((3, rows, columns), 128.0)
    for mask, (name, x0, y0, x1, y1) in zip(masks, objects, strict=True):
        mask[y0:y1, x0:x1] = True
        image[:, mask] = torch.tensor(_COLOURS[name], dtype=torch.float32)[:, None]
    noise = _NOISE * torch.randn(image.shape, generator=generator)
    people = (labels == names.index("person"))[:, None, None]
    truth = Annotations(
        boxes=boxes,
        labels=labels,
        masks=masks,
        keypoints=_keypoints(boxes) * people,
        is_crowd=torch.zeros(len(objects), dtype=torch.bool),
        areas=box_area(boxes),
        ids=torch.arange(1, len(objects) + 1),
        has=frozenset({*LABEL_KINDS, IMAGE_LABELS}),
        image_labels=TrueImageLabels(
            torch.tensor([len(objects) == 2, len(objects) == 3]).float(), torch.ones(2, dtype=torch.bool)
        ),
    )
    return Example((image + noise).clamp(0, 255).to(torch.uint8), truth)


def _keypoints(boxes: Float[Tensor, "M 4"]) -> Float[Tensor, "M K 3"]:
    """A standing person in every box; the right ear is not labelled, the left wrist hidden."""
    places = boxes[:, None, :2] + torch.tensor(_FIGURE) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    visibility = torch.full((*places.shape[:2], 1), 2.0)
    visibility[:, COCO_PERSON.names.index("right_ear")] = 0
    visibility[:, COCO_PERSON.names.index("left_wrist")] = 1
    return torch.cat([places, visibility], -1) * (visibility > 0)
