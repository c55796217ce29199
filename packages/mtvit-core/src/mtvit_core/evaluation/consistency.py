"""How well the tasks of a model agree on each object: a metric of linked results that needs no labels.

    keypoints_in_mask = confident keypoints inside the mask / all confident keypoints
    mask_in_box       = pixels of the mask inside the box / all its pixels
    complete          = objects with every part that their class can have / all objects
    consistent        = complete objects, any two of whose parts agree by at least a limit / all objects
    score             = mean score of the links

Keypoints count where an object has a mask too; masks where its box was found on its own, not around the mask.
Hidden keypoints lie outside masks of visible pixels, so that not even the truth reaches 1.

Source: the counts are ours; they ask of results what COCO's annotations fulfil by construction (Lin et al.
2014: one instance has one id, one mask, one box and one set of keypoints).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from mtvit_core.evaluation.details import Cell, Details, Table
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.linking import CONFIDENT_KEYPOINT, MIN_LINK, link
from mtvit_core.structures.annotations import LABEL_KINDS, Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances, concatenate
from mtvit_core.structures.masks import decode_rle


@dataclass(frozen=True)
class ConsistencyCounts:
    """Counts of some objects; those of more objects are their sum.

    Attributes:
        objects: Objects.
        complete: Objects with every part.
        consistent: Complete objects whose parts agree.
        points: Confident keypoints of objects with a mask.
        points_inside: Those inside the mask.
        pixels: Pixels of masks of objects with a box of their own.
        pixels_inside: Those inside the box.
        links: Objects that several tasks found.
        link_scores: Sum of the scores of their links.
    """

    objects: int = 0
    complete: int = 0
    consistent: int = 0
    points: int = 0
    points_inside: int = 0
    pixels: int = 0
    pixels_inside: int = 0
    links: int = 0
    link_scores: float = 0.0

    def __add__(self, other: "ConsistencyCounts") -> "ConsistencyCounts":
        """Return the counts of both."""
        return ConsistencyCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def shares(self) -> dict[str, float]:
        """The metrics; NaN where there is nothing to count."""
        pairs = {
            "complete": (self.complete, self.objects),
            "consistent": (self.consistent, self.objects),
            "keypoints_in_mask": (self.points_inside, self.points),
            "mask_in_box": (self.pixels_inside, self.pixels),
            "score": (self.link_scores, self.links),
        }
        return {name: part / whole if whole else math.nan for name, (part, whole) in pairs.items()}


def agreement(
    found: Instances, row: int, needs: Mapping[str, frozenset[str]], min_link: float = MIN_LINK
) -> ConsistencyCounts:
    """Count one object of a linked result.

    Args:
        found: The result.
        row: The object.
        needs: Kinds of label that each task learns from; these are the parts that it finds.
        min_link: Least agreement of parts that agree.
    """
    tasks, label = found.tasks[row].split("+"), int(found.labels[row])
    wanted = frozenset().union(*needs.values()) & set(LABEL_KINDS)
    if label not in found.categories.keypoint_labels:
        wanted -= {"keypoints"}
    own = found.links[row] if found.links else None
    complete = wanted <= frozenset().union(*(needs[task] for task in tasks))
    counts = ConsistencyCounts(
        objects=1,
        complete=int(complete),
        consistent=int(complete and (own is None or own.score >= min_link)),
        links=int(own is not None),
        link_scores=0.0 if own is None else own.score,
    )
    rle = found.rles[row]
    if rle is None:
        return counts
    mask = decode_rle(rle)
    keypoints = found.keypoints[row].numpy()
    points = keypoints[keypoints[:, 2] >= CONFIDENT_KEYPOINT, :2]
    column, line = points[((points >= 0) & (points < (found.width, found.height))).all(1)].astype(int).T
    counts += ConsistencyCounts(points=len(points), points_inside=int(mask[line, column].sum()))
    if "boxes" in needs[tasks[0]]:
        # A pixel is inside where its centre is.
        left, top, right, bottom = np.ceil(found.boxes[row].numpy() - 0.5).astype(int).clip(min=0)
        part = mask[top:bottom, left:right]
        counts += ConsistencyCounts(pixels=int(mask.sum()), pixels_inside=int(part.sum()))
    return counts


class Consistency(Evaluator):
    """Links what the tasks of a model found, image by image, and counts how well it agrees.

    The results are kept until all tasks have given theirs, so that it matters neither when each comes nor in
    which process.
    """

    def __init__(
        self, needs: Mapping[str, frozenset[str]], min_score: float, min_link: float = MIN_LINK
    ) -> None:
        """Start without images.

        Args:
            needs: Kinds of label that each task learns from, of the tasks whose results are linked.
            min_score: Objects below it do not count.
            min_link: Least agreement of results that are one object.
        """
        self._needs, self._min_score, self._min_link = dict(needs), min_score, min_link
        self._images: dict[int, dict[str, Instances]] = {}
        self._counts: dict[str, ConsistencyCounts] | None = (
            None  # of what has been collected, once it is asked for
        )

    def update(
        self,
        results: Sequence[ImageResult],
        annotations: Sequence[Annotations] = (),
        meta: Sequence[ImageMeta] = (),
    ) -> None:
        """Add results of any of the tasks; nothing else is read. The same task and image count once.

        Tasks that share queries come together, in one result for each image: their rows of one query stand or
        fall together.
        """
        self._counts = None
        for result in results:
            found = result.instances
            tasks, kept = self._images.setdefault(found.image_id, {}), found.above(self._min_score)
            for task in self._needs.keys() & set(found.tasks):
                tasks.setdefault(task, kept.of(task))

    def state(self) -> dict[str, Any]:
        """Return the results of every image by task."""
        return {"images": self._images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what has been collected; see ``Evaluator.merge``."""
        self._images, self._counts = {}, None
        for state in states:
            for image_id, tasks in state["images"].items():
                mine = self._images.setdefault(image_id, {})
                mine.update({task: found for task, found in tasks.items() if task not in mine})

    def compute(self) -> dict[str, float]:
        """Return ``complete``, ``consistent``, ``keypoints_in_mask``, ``mask_in_box`` and ``score``."""
        return sum(self._by_class().values(), ConsistencyCounts()).shares

    def details(self, min_score: float) -> Details:
        """Return a table of the classes."""
        counts = self._by_class()
        if not counts:
            return Details()
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (name, one.objects, *one.shares.values()) for name, one in counts.items()
        )
        note = (
            "Complete objects have every part that their class can have; of consistent ones they agree, too. "
            "Keypoints that others hide lie outside masks even where all is right."
        )
        columns = (
            "class",
            "objects",
            "complete",
            "consistent",
            "keypoints in mask",
            "mask in box",
            "score of links",
        )
        return Details(tables=(Table("Objects that several tasks found", columns, rows, note),))

    def _by_class(self) -> dict[str, ConsistencyCounts]:
        """Counts by name of the class; linking takes its time, so it is done once."""
        if self._counts is None:
            self._counts = self._count()
        return self._counts

    def _count(self) -> dict[str, ConsistencyCounts]:
        """Link, and count by name of the class, added up in the order of image ids."""
        counts: dict[int, ConsistencyCounts] = {}
        names: dict[int, str] = {}
        for _, tasks in sorted(self._images.items()):
            parts = [tasks[name] for name in sorted(tasks)]
            found = link(concatenate(parts), self._min_link) if parts else None
            for row in range(0 if found is None else len(found)):
                assert found is not None
                category = found.categories[int(found.labels[row])]
                one = agreement(found, row, self._needs, self._min_link)
                counts[category.id] = counts.get(category.id, ConsistencyCounts()) + one
                names[category.id] = category.name
        return {names[id_]: counts[id_] for id_ in sorted(counts)}
