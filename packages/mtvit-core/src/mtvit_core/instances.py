"""Results: one row per object found, in original pixels and original categories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.categories import Categories
from mtvit_core.masks import Rle, decode_rle


@dataclass(frozen=True)
class Instances:
    """Objects found in one image.

    Attributes:
        height: Rows of the original image.
        width: Columns of the original image.
        categories: Classes that ``labels`` index.
        labels: Class of each object, as an index into ``categories``.
        scores: Confidence in [0, 1].
        boxes: Corners x0 y0 x1 y1 in original pixels, clipped to the image.
        tasks: Name of the task that found each object.
        rles: Mask of each object as COCO run lengths, None where an object has none.
        keypoints: x, y in original pixels and a score in [0, 1] per keypoint; NaN rows where an object has
            none. K is the most keypoints of any category, so K may be 0.
        image_id: Id in the data set, 0 where there is none.
        file_name: Where the image came from, empty where unknown.
        maps: Dense results by name, one number per pixel of the original image. The name is that of the task,
            or begins with it and ``-``.
    """

    height: int
    width: int
    categories: Categories
    labels: Int64[Tensor, " M"]
    scores: Float[Tensor, " M"]
    boxes: Float[Tensor, "M 4"]
    tasks: tuple[str, ...]
    rles: tuple[Rle | None, ...]
    keypoints: Float[Tensor, "M K 3"]
    image_id: int = 0
    file_name: str = ""
    maps: Mapping[str, Float[Tensor, "H W"]] = field(default_factory=dict)

    @classmethod
    def empty(
        cls, height: int, width: int, categories: Categories, image_id: int = 0, file_name: str = ""
    ) -> "Instances":
        """Return the result of finding nothing in an image of this size."""
        return cls(
            height=height,
            width=width,
            categories=categories,
            labels=torch.zeros(0, dtype=torch.int64),
            scores=torch.zeros(0),
            boxes=torch.zeros(0, 4),
            tasks=(),
            rles=(),
            keypoints=torch.zeros(0, categories.max_keypoints, 3),
            image_id=image_id,
            file_name=file_name,
        )

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.tasks)

    @property
    def masks(self) -> Bool[Tensor, "M H W"]:
        """Masks at original size; all False where an object has none. Costs M * H * W bytes."""
        empty = np.zeros((self.height, self.width), dtype=bool)
        planes = [empty if rle is None else decode_rle(rle) for rle in self.rles]
        if not planes:
            return torch.zeros(0, self.height, self.width, dtype=torch.bool)
        return torch.from_numpy(np.stack(planes))

    @property
    def names(self) -> tuple[str, ...]:
        """Category name of each object."""
        return tuple(self.categories[int(label)].name for label in self.labels)

    def __getitem__(self, rows: Tensor) -> "Instances":
        """Select objects by a boolean or integer tensor."""
        index = torch.arange(len(self))[rows.cpu()]
        return replace(
            self,
            labels=self.labels[index],
            scores=self.scores[index],
            boxes=self.boxes[index],
            tasks=tuple(self.tasks[i] for i in index.tolist()),
            rles=tuple(self.rles[i] for i in index.tolist()),
            keypoints=self.keypoints[index],
        )

    def of(self, task: str) -> "Instances":
        """Select what one task found."""
        rows = self[torch.tensor([name == task for name in self.tasks], dtype=torch.bool)]
        return replace(rows, maps={n: values for n, values in self.maps.items() if belongs(n, task)})

    def above(self, score: float) -> "Instances":
        """Select objects whose score is at least ``score``."""
        return self[self.scores >= score]

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO result entries, with segmentation and keypoints where found; bbox is x y w h."""
        entries = []
        for i, rle in enumerate(self.rles):
            x0, y0, x1, y1 = self.boxes[i].tolist()
            entry: dict[str, Any] = {
                "image_id": self.image_id,
                "category_id": self.categories[int(self.labels[i])].id,
                "score": float(self.scores[i]),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            }
            if rle is not None:
                entry["segmentation"] = {"size": list(rle.size), "counts": rle.counts}
            schema = self.categories[int(self.labels[i])].keypoints
            if schema is not None and self.keypoints.shape[1] and not self.keypoints[i, 0].isnan().any():
                entry["keypoints"] = self.keypoints[i, : len(schema.names)].flatten().tolist()
            entries.append(entry)
        return entries

    def to_json(self) -> dict[str, Any]:
        """Return the image's name, id and size, and objects as ``to_coco`` entries with names and tasks."""
        objects = [
            {"task": task, "category": name, **entry}
            for task, name, entry in zip(self.tasks, self.names, self.to_coco(), strict=True)
        ]
        for entry in objects:
            del entry["image_id"]
        return {
            "file_name": self.file_name,
            "image_id": self.image_id,
            "height": self.height,
            "width": self.width,
            "objects": objects,
        }


def belongs(name: str, task: str) -> bool:
    """Tell whether a token group or a dense result is named as one of this task."""
    return name == task or name.startswith(f"{task}-")


def concatenate(parts: Sequence[Instances]) -> Instances:
    """Join what several tasks found in the same image, in the order given; ``parts`` is not empty."""
    return replace(
        parts[0],
        labels=torch.cat([part.labels for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        boxes=torch.cat([part.boxes for part in parts]),
        tasks=tuple(task for part in parts for task in part.tasks),
        rles=tuple(rle for part in parts for rle in part.rles),
        keypoints=torch.cat([part.keypoints for part in parts]),
        maps={name: values for part in parts for name, values in part.maps.items()},
    )
