"""What a task is shown: examples on its canvas, with the truth and the way back to the originals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.structures.annotations import IMAGE_LABELS, Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.canvases.crops import CropRule, crop_person, person_meta, points_to_crop
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_core.testing.example import Example
from mtvit_core.testing.mirror import Mirror


@dataclass(frozen=True)
class Sample:
    """Images as a task sees them.

    Attributes:
        images: Canvases, RGB, 0 to 255.
        annotations: What is annotated, in canvas pixels; one entry per image.
        truth: The same in pixels of the originals.
        meta: The way back to the originals.
    """

    images: UInt8[Tensor, "B 3 H W"]
    annotations: tuple[Annotations, ...]
    truth: tuple[Annotations, ...]
    meta: tuple[ImageMeta, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.meta)

    @property
    def batch(self) -> Batch:
        """What a training step is given."""
        return Batch(self.images, self.annotations, self.meta)

    @property
    def canvas(self) -> tuple[int, int]:
        """Rows and columns of the canvases."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])

    def rows(self, rows: Sequence[int]) -> "Sample":
        """Return the images at these places; a place may be listed twice."""
        return Sample(
            self.images[list(rows)],
            tuple(self.annotations[i] for i in rows),
            tuple(self.truth[i] for i in rows),
            tuple(self.meta[i] for i in rows),
        )

    def lacking(self, kind: str) -> "Sample":
        """Return the same images without one kind of label."""
        return replace(
            self,
            annotations=tuple(_without(a, kind) for a in self.annotations),
            truth=tuple(_without(a, kind) for a in self.truth),
        )

    def emptied(self) -> "Sample":
        """Return the same images, labelled, but as if they showed no object."""
        return replace(
            self,
            annotations=tuple(take(a, []) for a in self.annotations),
            truth=tuple(take(a, []) for a in self.truth),
        )

    def followed_by(self, other: "Sample") -> "Sample":
        """Return the images of both; those of ``other`` get ids of their own."""
        first = max(meta.image_id for meta in self.meta)
        return Sample(
            torch.cat([self.images, other.images]),
            self.annotations + other.annotations,
            self.truth + other.truth,
            self.meta + tuple(replace(m, image_id=first + n) for n, m in enumerate(other.meta, start=1)),
        )


def take(annotations: Annotations, rows: Sequence[int]) -> Annotations:
    """Return the annotations of some instances."""
    index = torch.tensor(rows, dtype=torch.int64)
    masks, keypoints = annotations.masks, annotations.keypoints
    return replace(
        annotations,
        boxes=annotations.boxes[index],
        labels=annotations.labels[index],
        masks=None if masks is None else masks[index],
        keypoints=None if keypoints is None else keypoints[index],
        is_crowd=annotations.is_crowd[index],
        areas=annotations.areas[index],
        ids=annotations.ids[index],
    )


def _without(annotations: Annotations, kind: str) -> Annotations:
    return replace(
        annotations,
        masks=None if kind == "masks" else annotations.masks,
        keypoints=None if kind == "keypoints" else annotations.keypoints,
        has=annotations.has - {kind},
        image_labels=None if kind == IMAGE_LABELS else annotations.image_labels,
        maps={name: values for name, values in annotations.maps.items() if name != kind},
    )


def whole_images(examples: Sequence[Example], canvas: tuple[int, int]) -> Sample:
    """Letterbox examples onto the canvas.

    Args:
        examples: Images with their truth.
        canvas: Rows and columns.
    """
    box = Letterbox(*canvas)
    metas = tuple(box.meta(*e.size, n, f"example {n}") for n, e in enumerate(examples, start=1))
    return Sample(
        torch.stack([box.apply(example.image) for example in examples]),
        tuple(_shrunk(e.truth, meta, canvas) for e, meta in zip(examples, metas, strict=True)),
        tuple(example.truth for example in examples),
        metas,
    )


def _shrunk(truth: Annotations, meta: ImageMeta, canvas: tuple[int, int]) -> Annotations:
    (rows, columns), masks, keypoints = meta.content, truth.masks, truth.keypoints
    scale = torch.tensor([columns / meta.width, rows / meta.height])
    if masks is not None:
        small = F.interpolate(masks[:, None].float(), size=(rows, columns), mode="nearest")[:, 0] > 0
        masks = F.pad(small, (0, canvas[1] - columns, 0, canvas[0] - rows))
    if keypoints is not None:
        keypoints = torch.cat([keypoints[..., :2] * scale, keypoints[..., 2:]], -1)
    return replace(
        truth,
        boxes=truth.boxes * scale.repeat(2),
        masks=masks,
        keypoints=keypoints,
        areas=truth.areas * float(scale.prod()),
        maps={name: _onto(canvas, resized(values, rows, columns)) for name, values in truth.maps.items()},
    )


def resized(values: Float[Tensor, "*planes H0 W0"], rows: int, columns: int) -> Float[Tensor, "*planes H W"]:
    """Return dense values at another size, each from the nearest pixel."""
    planes = values.reshape(1, -1, *values.shape[-2:])
    return F.interpolate(planes, size=(rows, columns), mode="nearest").view(*values.shape[:-2], rows, columns)


def _onto(canvas: tuple[int, int], values: Float[Tensor, "*planes H0 W0"]) -> Float[Tensor, "*planes H W"]:
    rows, columns = values.shape[-2:]
    return F.pad(values, (0, canvas[1] - columns, 0, canvas[0] - rows), value=torch.nan)


def person_crops(
    examples: Sequence[Example], categories: Categories, canvas: tuple[int, int], rule: CropRule
) -> Sample:
    """Crop the first person of every example that has one; the truth is that person alone.

    Args:
        examples: Images with their truth.
        categories: Classes; those with keypoints are people.
        canvas: Rows and columns of a crop.
        rule: How a crop lies around the box.
    """
    crops, annotations, truths, metas = [], [], [], []
    for number, example in enumerate(examples, start=1):
        people = [i for i, n in enumerate(example.truth.labels.tolist()) if n in categories.keypoint_labels]
        if not people:
            continue
        truth = take(example.truth, people[:1])
        x0, y0, x1, y1 = truth.boxes[0].tolist()
        meta = person_meta((x0, y0, x1, y1), *example.size, canvas, rule=rule)
        metas.append(replace(meta, image_id=number, file_name=f"example {number}"))
        crops.append(crop_person(example.image, meta, canvas))
        annotations.append(_cropped(truth, meta))
        truths.append(truth)
    return Sample(torch.stack(crops), tuple(annotations), tuple(truths), tuple(metas))


def _cropped(truth: Annotations, meta: ImageMeta) -> Annotations:
    a, _, _, _, e, _ = meta.to_original
    keypoints = truth.keypoints
    if keypoints is not None:
        points, visibility = points_to_crop(keypoints[..., :2], meta), keypoints[..., 2:]
        keypoints = torch.cat([points, visibility], -1) * (visibility > 0)
    return replace(
        truth,
        boxes=points_to_crop(truth.boxes.reshape(-1, 2), meta).reshape(-1, 4),
        masks=None,
        keypoints=keypoints,
        areas=truth.areas / (a * e),
        has=truth.has - {"masks", *truth.maps},
        maps={},
    )


def mirrored(examples: Sequence[Example], categories: Categories, mirror: Mirror) -> tuple[Example, ...]:
    """Return examples as a mirror shows them.

    Args:
        examples: Images with their truth.
        categories: Classes.
        mirror: What it does to coordinates.
    """
    return tuple(
        Example(e.image.flip(-1), mirror.annotations(e.truth, categories, e.size[1])) for e in examples
    )
