"""Results: one row per object found, in original pixels and original categories."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mtvit_core.arguments import NUMBER, require
from mtvit_core.rows import Rows, places
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.masks import Rle, decode_rle

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Finding:
    """What one task found of an object.

    Attributes:
        task: Its name.
        score: Its confidence in [0, 1].
        box: Its box, corners x0 y0 x1 y1 in original pixels.
        mask: Whether the object's mask is its.
        keypoints: Whether the object's keypoints are its.
        query: Query of an instance group that it was read from; None where the task has its own.
    """

    task: str
    score: float
    box: Box
    mask: bool
    keypoints: bool
    query: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return task, score and bbox x y w h."""
        x0, y0, x1, y1 = self.box
        return {"task": self.task, "score": self.score, "bbox": [x0, y0, x1 - x0, y1 - y0]}


@dataclass(frozen=True)
class Link:
    """Results of several tasks that are one object.

    Attributes:
        score: Least agreement of any two of them, in [0, 1]; see ``mtvit_core.results.linking``.
        findings: One per task; the object shows the box of the first.
    """

    score: float
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the score as ``link``, and what each task found as ``parts``."""
        return {"link": self.score, "parts": [finding.to_json() for finding in self.findings]}


@dataclass(frozen=True)
class Instances:
    """Objects found in one image.

    Attributes:
        height: Rows of the original image.
        width: Columns of the original image.
        categories: Classes that ``labels`` index.
        labels: Class of each object, as an index into ``categories``.
        scores: Confidence in [0, 1]; of several tasks, the largest.
        boxes: Corners x0 y0 x1 y1 in original pixels, clipped to the image.
        tasks: Name of the task that found each object; of several tasks, their names joined by ``+``.
        rles: Mask of each object as COCO run lengths, None where an object has none.
        keypoints: x, y in original pixels and a score in [0, 1] per keypoint; NaN rows where an object has
            none. K is the most keypoints of any category, so K may be 0.
        image_id: Id in the data set, 0 where there is none.
        file_name: Where the image came from, empty where unknown.
        queries: Query that each object was read from, where its task shares queries with others: rows of one
            query and one class are one object. None where it does not; empty where no task does.
        links: What each task found of an object, where several did and were linked; None where one did.
            Empty where nothing was linked at all.

    Boxes are clipped to the image, whoever makes them.
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
    queries: tuple[int | None, ...] = ()
    links: tuple[Link | None, ...] = ()

    def __post_init__(self) -> None:
        """Clip boxes to the image."""
        limit = self.boxes.new_tensor([self.width, self.height] * 2)
        object.__setattr__(self, "boxes", self.boxes.clamp(min=0).minimum(limit))  # frozen for all but this

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

    def __iter__(self) -> Iterator["Instances"]:
        """Yield the objects one by one."""
        return (self[row] for row in range(len(self)))

    def __getitem__(self, rows: Rows) -> "Instances":
        """Select objects: one by its place, others by a slice, places or truth values in any form.

        Raises:
            IndexError: there is no such object, or there are more or fewer truth values than objects.
            ShapeError: ``rows`` is something else.
        """
        index = places(rows, len(self))
        return replace(
            self,
            labels=self.labels[index],
            scores=self.scores[index],
            boxes=self.boxes[index],
            tasks=tuple(self.tasks[i] for i in index.tolist()),
            rles=tuple(self.rles[i] for i in index.tolist()),
            keypoints=self.keypoints[index],
            queries=tuple(self.queries[i] for i in index.tolist()) if self.queries else (),
            links=tuple(self.links[i] for i in index.tolist()) if self.links else (),
        )

    def apart(self) -> "Instances":
        """Undo linking: one row per task again, those of one object one after the other."""
        if not any(self.links):
            return replace(self, links=())
        found = [
            (i, one) for i, link in enumerate(self.links) for one in (link.findings if link else (None,))
        ]
        rows = replace(self, links=())[torch.tensor([i for i, _ in found])]
        scores, boxes, keypoints = rows.scores.clone(), rows.boxes.clone(), rows.keypoints.clone()
        tasks, rles, queries = list(rows.tasks), list(rows.rles), list(rows.queries)
        for row, (_, one) in enumerate(found):
            if one is None:
                continue
            tasks[row], scores[row], boxes[row] = one.task, one.score, boxes.new_tensor(one.box)
            rles[row] = rles[row] if one.mask else None
            if queries:
                queries[row] = one.query
            if not one.keypoints:
                keypoints[row] = torch.nan
        return replace(
            rows,
            tasks=tuple(tasks),
            scores=scores,
            boxes=boxes,
            rles=tuple(rles),
            keypoints=keypoints,
            queries=tuple(queries),
        )

    def of(self, task: str) -> "Instances":
        """Select what one task found, as it found it; of linked results best first."""
        rows = self.apart()
        rows = rows[torch.tensor([name == task for name in rows.tasks], dtype=torch.bool)]
        if any(self.links):  # the order of objects is not that of the task
            rows = rows[rows.scores.argsort(descending=True, stable=True)]
        return rows

    def above(self, score: float) -> "Instances":
        """Select objects whose score, the largest of rows of one query and class, is at least ``score``."""
        require("result: score", score, NUMBER, "a number from 0 to 1")
        return self[self._of_objects(self.scores) >= score]

    def _of_objects(self, scores: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
        """The largest score of all rows that are of the same query and class, for every row."""
        if not self.queries:
            return scores
        # Rows without a query are objects of their own.
        query = torch.tensor([-1 - i if own is None else own for i, own in enumerate(self.queries)])
        _, object_ = torch.unique(query * len(self.categories) + self.labels, return_inverse=True)
        return torch.zeros_like(scores).scatter_reduce_(0, object_, scores, "amax")[object_]

    def to_coco(self) -> list[dict[str, Any]]:
        """Return COCO result entries, one per object, with what was found of it; bbox is x y w h.

        ``id`` is the number of the object in its image, from 1.
        """
        entries = []
        labels, scores, boxes = self.labels.tolist(), self.scores.tolist(), self.boxes.tolist()
        points, there = self.keypoints.flatten(1).tolist(), (~self.keypoints[:, :1].isnan().any(2)).tolist()
        for i, rle in enumerate(self.rles):
            category, (x0, y0, x1, y1) = self.categories[labels[i]], boxes[i]
            entry: dict[str, Any] = {
                "id": i + 1,
                "image_id": self.image_id,
                "category_id": category.id,
                "score": scores[i],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            }
            if rle is not None:
                entry["segmentation"] = {"size": list(rle.size), "counts": rle.counts}
            if category.keypoints is not None and any(there[i]):
                entry["keypoints"] = points[i][: 3 * len(category.keypoints.names)]
            entries.append(entry)
        return entries

    def to_json(self) -> dict[str, Any]:
        """Return the image's name, id and size, and objects as ``to_coco`` entries with names and tasks.

        An object that several tasks found tells their agreement as ``link``, and ``parts``: each one's score
        and bbox.
        """
        links = self.links or (None,) * len(self)
        objects = [
            {"task": task, "category": name, **entry, **(link.to_json() if link else {})}
            for task, name, entry, link in zip(self.tasks, self.names, self.to_coco(), links, strict=True)
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
    """Tell whether a token group or a map is named as one of this task."""
    return name == task or name.startswith(f"{task}-")


def concatenate(parts: Sequence[Instances]) -> Instances:
    """Join what several tasks found in the same image, in the order given; ``parts`` is not empty."""
    links = tuple(link for part in parts for link in part.links or (None,) * len(part))
    queries = tuple(query for part in parts for query in part.queries or (None,) * len(part))
    return replace(
        parts[0],
        labels=torch.cat([part.labels for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        boxes=torch.cat([part.boxes for part in parts]),
        tasks=tuple(task for part in parts for task in part.tasks),
        rles=tuple(rle for part in parts for rle in part.rles),
        keypoints=torch.cat([part.keypoints for part in parts]),
        queries=queries if any(query is not None for query in queries) else (),
        links=links if any(links) else (),
    )
