"""Everything that the tasks of a model say of one image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from mtvit_core.results.image_labels import ImageLabels
from mtvit_core.results.plot import plot, png
from mtvit_core.rows import Rows
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_inputs import ImageLike
from mtvit_core.structures.instances import Instances, belongs, concatenate
from mtvit_core.structures.interop.supervision import detections, key_points
from mtvit_core.structures.masks import Rle
from mtvit_core.structures.pixel_maps import PixelMap

#: Score from which pictures show labels of the image beside the best one.
SURE = 0.5


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

    def plot(self, image: ImageLike | None = None) -> Image.Image:
        """Draw objects and image labels into ``image``, by default the file it came from, see ``plot``."""
        return plot(self.instances, image, heading=self._heading)

    def _repr_png_(self) -> bytes:
        """Return the picture that notebooks show."""
        return png(self.instances, self._heading)

    @property
    def _heading(self) -> str:
        """The best labels of the image, of each task."""
        return ", ".join(labels.heading(SURE) for labels in self.labels.values())

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
