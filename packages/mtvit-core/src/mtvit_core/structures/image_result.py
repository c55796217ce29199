"""What is said of one image: objects, a number or a category for every pixel, labels of the whole image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image
from torch import Tensor

from mtvit_core.rows import Rows
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances, belongs, concatenate
from mtvit_core.structures.interop.supervision import detections, key_points
from mtvit_core.structures.masks import Rle

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
            return {"kind": "semantic", "void": VOID}
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


@dataclass(frozen=True)
class ImageLabels:
    """Categories of a whole image, best first.

    Attributes:
        labels: Class of each entry, as an index into ``categories``; each class at most once.
        scores: Confidence of each in [0, 1], falling.
        categories: Classes that ``labels`` index.
    """

    labels: Int64[Tensor, " C"]
    scores: Float[Tensor, " C"]
    categories: Categories

    @classmethod
    def of(cls, scores: Float[Tensor, " C"], categories: Categories) -> "ImageLabels":
        """Return all classes by falling score.

        Args:
            scores: One of each class.
            categories: The classes.
        """
        ranked, labels = scores.float().cpu().sort(descending=True, stable=True)
        return cls(labels, ranked, categories)

    @property
    def names(self) -> tuple[str, ...]:
        """Category name of each entry."""
        return tuple(self.categories[label].name for label in self.labels.tolist())

    def __len__(self) -> int:
        """Return the number of entries."""
        return int(self.labels.shape[0])

    def above(self, score: float) -> "ImageLabels":
        """Select entries whose score is at least ``score``."""
        kept = self.scores >= score
        return replace(self, labels=self.labels[kept], scores=self.scores[kept])

    def to_json(self) -> list[dict[str, Any]]:
        """Return name, id and score of each entry."""
        return [
            {"category": name, "category_id": self.categories[label].id, "score": score}
            for name, label, score in zip(self.names, self.labels.tolist(), self.scores.tolist(), strict=True)
        ]


PixelMap = DenseMap | CategoryMap


@dataclass(frozen=True)
class ImageResult:
    """Everything that the tasks of a model say of one image.

    A result has the length, the rows and the fields of its ``instances``: ``found.boxes`` are those of
    ``found.instances``, ``found[0]`` is its first object.

    Attributes:
        instances: The objects.
        maps: What is said of every pixel, by name: that of the task, or beginning with it and ``-``.
        labels: Categories of the whole image, by the name of the task that tells them.
    """

    instances: Instances
    maps: Mapping[str, PixelMap] = field(default_factory=dict)
    labels: Mapping[str, ImageLabels] = field(default_factory=dict)

    @classmethod
    def empty(cls, at: ImageMeta, categories: Categories) -> "ImageResult":
        """Return the result that says nothing of an image."""
        return cls(Instances.empty(at.height, at.width, categories, at.image_id, at.file_name))

    @property
    def height(self) -> int:
        """Rows of the original image."""
        return self.instances.height

    @property
    def width(self) -> int:
        """Columns of the original image."""
        return self.instances.width

    @property
    def image_id(self) -> int:
        """Id in the data set, 0 where there is none."""
        return self.instances.image_id

    @property
    def file_name(self) -> str:
        """Where the image came from, empty where unknown."""
        return self.instances.file_name

    @property
    def categories(self) -> Categories:
        """Classes of the objects."""
        return self.instances.categories

    @property
    def boxes(self) -> Float[Tensor, "M 4"]:
        """Corners x0 y0 x1 y1 of each object in original pixels."""
        return self.instances.boxes

    @property
    def scores(self) -> Float[Tensor, " M"]:
        """Confidence of each object in [0, 1]."""
        return self.instances.scores

    @property
    def names(self) -> tuple[str, ...]:
        """Category name of each object."""
        return self.instances.names

    @property
    def tasks(self) -> tuple[str, ...]:
        """Name of the task that found each object; of several tasks, their names joined by ``+``."""
        return self.instances.tasks

    @property
    def rles(self) -> tuple[Rle | None, ...]:
        """Mask of each object as COCO run lengths, None where an object has none."""
        return self.instances.rles

    @property
    def masks(self) -> Bool[Tensor, "M H W"]:
        """Masks at original size; all False where an object has none. Costs M * H * W bytes."""
        return self.instances.masks

    @property
    def keypoints(self) -> Float[Tensor, "M K 3"]:
        """x, y in original pixels and a score per keypoint; NaN rows where an object has none."""
        return self.instances.keypoints

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.instances)

    def __getitem__(self, rows: Rows) -> Instances:
        """Select objects, see ``Instances``."""
        return self.instances[rows]

    def __iter__(self) -> Iterator[Instances]:
        """Yield the objects one by one."""
        return iter(self.instances)

    def named(self, image_id: int, file_name: str) -> "ImageResult":
        """Return the result as one of another id and file name."""
        return replace(self, instances=replace(self.instances, image_id=image_id, file_name=file_name))

    def of(self, task: str) -> "ImageResult":
        """Select what one task said, as it said it."""
        return ImageResult(
            self.instances.of(task),
            {name: values for name, values in self.maps.items() if belongs(name, task)},
            {name: labels for name, labels in self.labels.items() if name == task},
        )

    def above(self, score: float) -> "ImageResult":
        """Select objects and labels of the image whose score is at least ``score``; maps stay."""
        labels = {name: labels.above(score) for name, labels in self.labels.items()}
        return replace(self, instances=self.instances.above(score), labels=labels)

    def apart(self) -> Instances:
        """Undo linking: one row per object and task."""
        return self.instances.apart()

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO result entries of the objects, see ``Instances.to_coco``."""
        return self.instances.to_coco()

    def to_supervision(self) -> Any:
        """Return the objects as ``supervision.Detections``, with ``pip install mtvit-core[supervision]``."""
        return detections(self.instances)

    def to_supervision_keypoints(self) -> Any:
        """Return the objects that have keypoints as ``supervision.KeyPoints``."""
        return key_points(self.instances)

    def plot(self, image: Any = None) -> Image.Image:
        """Draw the objects into ``image``, by default the file it came from, see ``inference.plot``."""
        drawn: Image.Image = import_module("mtvit_core.inference.plot").plot(self, image)
        return drawn  # drawing stands on results, so a result finds it only when it is asked

    def _repr_png_(self) -> bytes:
        """Return the picture that notebooks show."""
        file: bytes = import_module("mtvit_core.inference.plot").png(self)
        return file

    def to_json(self) -> dict[str, Any]:
        """Return the image's name, id and size, its objects, its labels, and what its maps are."""
        told = self.instances.to_json()
        if self.labels:
            told["labels"] = {name: labels.to_json() for name, labels in self.labels.items()}
        if self.maps:
            told["maps"] = {name: values.to_json() for name, values in self.maps.items()}
        return told


def merged(results: Sequence[ImageResult]) -> ImageResult:
    """Join what several tasks, or crops, say of the same image, in the order given; at least one."""
    return ImageResult(
        concatenate([result.instances for result in results]),
        {name: values for result in results for name, values in result.maps.items()},
        {name: labels for result in results for name, labels in result.labels.items()},
    )


def _ids_of(labels: Int64[Tensor, "H W"], categories: Categories) -> Int64[Tensor, "H W"]:
    ids = torch.tensor([*(category.id for category in categories), VOID], dtype=torch.int64)
    return ids[labels]
