"""What is said of every pixel of an image: numbers, or a category."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.structures.categories import Categories

#: Category id of pixels that belong to no category.
VOID = -1


@dataclass(frozen=True)
class DenseMap:
    """Numbers for every pixel of an image, such as depth or surface normals.

    Attributes:
        values: One plane per channel, in original pixels.
        channels: Name of each plane, as ``("depth",)`` or ``("x", "y", "z")``.
    """

    values: Float[Tensor, "C H W"]
    channels: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the channels; values go into a file of their own."""
        return {"kind": "dense", "channels": list(self.channels)}


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: Its value in the map, from 1.
        label: Class, as an index into the categories.
        score: Confidence in [0, 1]; the best one where several were merged.
        area: Number of pixels.
        is_stuff: Whether it is a region of a stuff class, not one object.
    """

    id: int
    label: int
    score: float
    area: int
    is_stuff: bool


@dataclass(frozen=True)
class CategoryMap:
    """A category for every pixel of an image; with segments, objects of one category are told apart.

    Attributes:
        category_ids: Id in the data set of every pixel's category, ``VOID`` where it has none.
        categories: Classes that the ids belong to.
        segment_ids: Panoptic maps: segment of every pixel, 0 where there is none. None for semantic maps.
        segments: What the segment ids stand for.
    """

    category_ids: Int64[Tensor, "H W"]
    categories: Categories
    segment_ids: Int64[Tensor, "H W"] | None = None
    segments: tuple[Segment, ...] = ()

    @classmethod
    def semantic(cls, labels: Int64[Tensor, "H W"], categories: Categories) -> "CategoryMap":
        """Return the map of a class index for every pixel; ``VOID`` stays what it is."""
        return cls(_ids_of(labels, categories), categories)

    @classmethod
    def panoptic(
        cls, segment_ids: Int64[Tensor, "H W"], segments: Sequence[Segment], categories: Categories
    ) -> "CategoryMap":
        """Return the map of a segment for every pixel, 0 for none."""
        label_of = torch.full((1 + max((s.id for s in segments), default=0),), VOID, dtype=torch.int64)
        for segment in segments:
            label_of[segment.id] = segment.label
        return cls(_ids_of(label_of[segment_ids], categories), categories, segment_ids, tuple(segments))

    def to_json(self) -> dict[str, Any]:
        """Return the kind, and the segments as COCO's panoptic format lists them; pixels go into a file."""
        if self.segment_ids is None:
            named = [{"id": category.id, "name": category.name} for category in self.categories]
            return {"kind": "semantic", "void": VOID, "categories": named}
        infos = [
            {
                "id": segment.id,
                "category": self.categories[segment.label].name,
                "category_id": self.categories[segment.label].id,
                "score": segment.score,
                "area": segment.area,
                "isthing": int(not segment.is_stuff),
            }
            for segment in self.segments
        ]
        return {"kind": "panoptic", "segments_info": infos}


PixelMap = DenseMap | CategoryMap


def _ids_of(labels: Int64[Tensor, "H W"], categories: Categories) -> Int64[Tensor, "H W"]:
    ids = torch.tensor([*(category.id for category in categories), VOID], dtype=torch.int64)
    return ids[labels]
