"""Tasks that are broken in what they learn where labels are missing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection


class MeanOfNone(Detection):
    """A mean over no object."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        assert match is not None
        terms = super().loss(predictions, targets, match)
        return {**terms, "l1": (match.gather(predictions.boxes) - targets.boxes).abs().mean()}


class Closed(Detection):
    """What nobody annotated is background."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> DetTargets:
        return super().targets([replace(a, annotated=None) for a in annotations], canvas, device)


class ClosedEvaluator(CocoEvaluator):
    """What nobody annotated is wrong where it is found."""

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        super().update(results, [replace(a, annotated=None) for a in annotations], meta)


class ClosedMetrics(Detection):
    """Its evaluator counts results of categories that nobody annotated."""

    def evaluator(self) -> CocoEvaluator:
        return ClosedEvaluator("det", "bbox", self.categories)


class Counted(Detection):
    """Images without objects count as not labelled."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> DetTargets:
        targets = super().targets(annotations, canvas, device)
        return replace(targets, labelled=torch.tensor(targets.counts) > 0)


class AllLabelled(Detection):
    """Images without labels count as images without objects."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> DetTargets:
        targets = super().targets(annotations, canvas, device)
        return replace(targets, labelled=torch.ones_like(targets.labelled))


class Untied(Detection):
    """Where nothing is labelled the loss is a constant."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        terms = super().loss(predictions, targets, match)
        return terms if targets.labelled.any() else {name: torch.zeros(()) for name in terms}


class Diluted(Detection):
    """Images without labels are counted when the loss is averaged."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        share = targets.labelled.float().mean()
        return {name: value * share for name, value in super().loss(predictions, targets, match).items()}


class CountingEvaluator(CocoEvaluator):
    """Counts all images, labelled or not."""

    seen = 0

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        super().update(results, annotations, meta)
        self.seen += len(results)

    def compute(self) -> dict[str, float]:
        return {**super().compute(), "images": float(self.seen)}


class CountsAll(Detection):
    """Its evaluator counts images without labels."""

    def evaluator(self) -> CocoEvaluator:
        return CountingEvaluator("det", "bbox", self.categories)
