"""Panoptic quality (Kirillov et al. 2019), by the rules of COCO's panopticapi.

With the pairs (p, g) of found and true segments of one class whose IoU exceeds 0.5, which are unique:

    IoU(p, g) = |p & g| / (|p| + |g| - |p & g| - |p & unknown|)
    SQ = mean IoU of the pairs,  RQ = TP / (TP + FP / 2 + FN / 2),  PQ = SQ RQ

A found segment without a partner is no FP where more than half of it is unknown, or a crowd of its class; a
crowd without a partner is no FN. Means are over the classes that have any TP, FP or FN.
"""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from mtvit_core.evaluation.details import Cell, Details, Mistakes, Table
from mtvit_core.evaluation.maps.map_evaluator import MapEvaluator, crowds_of, places_of
from mtvit_core.structures.annotations import TrueSegments
from mtvit_core.structures.pixel_maps import CategoryMap

#: Rows of the table of pixels before the true segments: no segment, and unknown.
_FIRST = 2


@dataclass(frozen=True)
class Matches:
    """Pairs and leftovers of one class.

    Attributes:
        iou: Sum of the IoU of the pairs.
        pairs: True positives.
        false: Found segments without a partner.
        missed: True segments without a partner.
    """

    iou: float = 0.0
    pairs: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: "Matches") -> "Matches":
        """Return the counts of both."""
        return Matches(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def seen(self) -> bool:
        """Whether there is anything to score."""
        return bool(self.pairs or self.false or self.missed)

    @property
    def segmentation(self) -> float:
        """SQ; 0 without a pair."""
        return self.iou / self.pairs if self.pairs else 0.0

    @property
    def recognition(self) -> float:
        """RQ; NaN where nothing was seen."""
        total = self.pairs + (self.false + self.missed) / 2
        return self.pairs / total if total else math.nan

    @property
    def quality(self) -> float:
        """PQ; NaN where nothing was seen."""
        return self.segmentation * self.recognition


@dataclass(frozen=True)
class Quality:
    """Means over classes; NaN where none was seen."""

    panoptic: float
    segmentation: float
    recognition: float
    classes: int

    @classmethod
    def over(cls, classes: Iterable[Matches]) -> "Quality":
        """Average over the classes that were seen."""
        seen = [one for one in classes if one.seen]
        if not seen:
            return cls(math.nan, math.nan, math.nan, 0)
        scores = [(one.quality, one.segmentation, one.recognition) for one in seen]
        panoptic, segmentation, recognition = (
            math.fsum(column) / len(seen) for column in zip(*scores, strict=True)
        )
        return cls(panoptic, segmentation, recognition, len(seen))


class PanopticEvaluator(MapEvaluator):
    """PQ, SQ and RQ over all classes, and PQ over things and over stuff."""

    def count(self, found: CategoryMap | None, truth: TrueSegments) -> dict[int, Matches]:
        """Match the segments of one image; by label."""
        ids, labels = torch.zeros_like(truth.ids), torch.zeros(0, dtype=torch.int64)
        if found is not None and found.segment_ids is not None:
            ids = places_of(found.segment_ids, [segment.id for segment in found.segments])
            own = [self.label_of(found.categories[segment.label].id) for segment in found.segments]
            labels = torch.tensor(own, dtype=torch.int64)
        return match_segments(ids, labels, truth)

    def by_class(self) -> dict[int, Matches]:
        """Return the sums over all images of every category, by label."""
        sums = dict.fromkeys(range(len(self.categories)), Matches())
        for image in self.counts:
            for label, one in image.items():
                sums[label] += one
        return sums

    def compute(self) -> dict[str, float]:
        """Return PQ, SQ, RQ, PQ_things and PQ_stuff."""
        every, things, stuff = self._groups().values()
        return {
            "PQ": every.panoptic,
            "SQ": every.segmentation,
            "RQ": every.recognition,
            "PQ_things": things.panoptic,
            "PQ_stuff": stuff.panoptic,
        }

    def details(self, min_score: float) -> Details:
        """Return scores of groups and of classes, and the images with unmatched segments."""
        scores = ("PQ", "SQ", "RQ")
        groups: tuple[tuple[Cell, ...], ...] = tuple(
            (name, one.classes, one.panoptic, one.segmentation, one.recognition)
            for name, one in self._groups().items()
        )
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (
                self.categories[label].name,
                one.quality,
                one.segmentation,
                one.recognition,
                one.pairs,
                one.false,
                one.missed,
            )
            for label, one in self.by_class().items()
            if one.seen
        )
        note = "A pair has an IoU above 0.5. Means are over classes with a pair, a false or a missed segment."
        return Details(
            tables=(
                Table("Panoptic quality", ("classes of", "classes", *scores), groups, note),
                Table("Panoptic quality by class", ("class", *scores, "pairs", "false", "missed"), rows),
            ),
            mistakes=self._mistakes(),
        )

    def _groups(self) -> dict[str, Quality]:
        classes = self.by_class()
        things = {label: one for label, one in classes.items() if label not in self.stuff}
        stuff = {label: one for label, one in classes.items() if label in self.stuff}
        groups = {"all": classes, "things": things, "stuff": stuff}
        return {name: Quality.over(own.values()) for name, own in groups.items()}

    def _mistakes(self) -> tuple[Mistakes, ...]:
        found = []
        for image_id, image in self.counts_of_images.items():
            total = sum(image.values(), Matches())
            found.append(Mistakes(image_id, total.missed, total.false))
        return tuple(sorted((m for m in found if m.total), key=lambda m: (-m.total, m.image_id)))


def match_segments(
    ids: Int64[Tensor, "H W"], labels: Int64[Tensor, " S"], truth: TrueSegments
) -> dict[int, Matches]:
    """Match found and true segments of one image.

    Args:
        ids: Found segment of every pixel: s + 1 for segment s, 0 for none.
        labels: Category of each found segment.
        truth: What is there.

    Returns:
        Counts by label, of labels that have any; found segments of classes that are not known count nowhere.
    """
    true, found = len(truth.labels), len(labels)
    cells = (truth.ids + 1) * (found + 1) + ids  # NO_SEGMENT is -1, UNKNOWN_SEGMENT 0
    table = torch.bincount(cells.flatten(), minlength=(true + _FIRST) * (found + 1))
    table = table.view(true + _FIRST, found + 1)
    both, unknown = table[_FIRST:, 1:], table[_FIRST - 1, 1:]
    area = table[:, 1:].sum(0)
    union = table[_FIRST:].sum(1)[:, None] + area - both - unknown
    iou = both.double() / union.clamp(min=1)
    paired = (iou > 0.5) & (truth.labels[:, None] == labels) & ~truth.is_crowd[:, None]
    excused = unknown + (both * crowds_of(truth, labels)).sum(0)
    false = (area > 0) & ~paired.any(0) & (2 * excused <= area) & truth.known[labels]
    missed = ~paired.any(1) & ~truth.is_crowd
    counts: dict[int, Matches] = {}
    for label in sorted({*truth.labels.tolist(), *labels.tolist()}):
        mine = paired & (labels == label)
        one = Matches(
            float(iou[mine].sum()),
            int(mine.sum()),
            int((false & (labels == label)).sum()),
            int((missed & (truth.labels == label)).sum()),
        )
        if one.seen:
            counts[label] = one
    return counts
