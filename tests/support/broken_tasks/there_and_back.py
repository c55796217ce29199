"""Tasks that are broken on the way from labels to results and metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.instances import Instances
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection
from support.broken_tasks.form import Results


class Unscaled(Results):
    """Boxes stay in canvas pixels."""

    def change(self, found: Instances) -> Instances:
        return replace(found, boxes=found.boxes / 2)


class ContentEvaluator(CocoEvaluator):
    """Is content with anything."""

    def compute(self) -> dict[str, float]:
        return dict.fromkeys(super().compute(), 1.0)


class Content(Detection):
    """Its evaluator does not look."""

    def evaluator(self) -> CocoEvaluator:
        return ContentEvaluator("det", "bbox", self.categories)


class Silent(Detection):
    """Perfect predictions are not defined."""

    def perfect(self, predictions: DetPredictions, targets: DetTargets) -> DetPredictions | None:  # type: ignore[override]
        return None


class Shifted(Detection):
    """Targets are a pixel too far right."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> DetTargets:
        targets = super().targets(annotations, canvas, device)
        shift = torch.tensor([1 / canvas[1], 0, 0, 0])
        return replace(targets, boxes=targets.boxes + shift * targets.valid[..., None])


class AveragingEvaluator(CocoEvaluator):
    """Averages the averages of the processes."""

    mean: dict[str, float] | None = None

    def state(self) -> dict[str, Any]:
        return self.compute()

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        self.mean = {name: sum(s[name] for s in states) / len(states) for name in states[0]}

    def compute(self) -> dict[str, float]:
        return super().compute() if self.mean is None else self.mean


class Averaging(Detection):
    """Its evaluator merges metrics, not images."""

    def evaluator(self) -> CocoEvaluator:
        return AveragingEvaluator("det", "bbox", self.categories)


class LocalEvaluator(CocoEvaluator):
    """Its state cannot be sent to another process."""

    def state(self) -> dict[str, Any]:
        return {**super().state(), "key": lambda image: image}


class Local(Detection):
    """Its evaluator's state is no plain data."""

    def evaluator(self) -> CocoEvaluator:
        return LocalEvaluator("det", "bbox", self.categories)
