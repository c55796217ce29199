"""What the variants of detection share: boxes, and terms of box and class put together."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.losses.box_regression import box_losses
from mtvit_core.losses.distillation import SoftObjects, soft_box_losses, soft_objects
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.losses.matching_costs import box_cost
from mtvit_core.losses.perfect import perfect_rows
from mtvit_core.structures.annotations import Annotations
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets, make_targets


class DetVariant(Task[DetConfig, DetPredictions, DetTargets]):
    """Boxes of every category; each variant says what its class logits mean.

    Attributes:
        usual_cost_class: ``cost_class`` where it is not set.
        columns: Class column of each category.
        count: Number of class columns, without "no object".
    """

    name: ClassVar[str] = "det"
    Config: ClassVar[type[TaskConfig]] = DetConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    usual_cost_class: ClassVar[float]
    columns: Int64[Tensor, " C"]
    count: int

    @property
    def finds_boxes(self) -> bool:
        """True: top-down tasks look at the people among the boxes."""
        return True

    @property
    def cost_class(self) -> float:
        """Weight of the class in the matching cost."""
        return self.usual_cost_class if self.config.cost_class is None else self.config.cost_class

    @abstractmethod
    def layers(self, backbone: BackboneSpec) -> tuple[int, ...]:
        """Return the depths that are supervised."""

    @abstractmethod
    def probabilities(self, logits: Float[Tensor, "*any C"]) -> Float[Tensor, "*any C2"]:
        """Return the probability of every category."""

    @abstractmethod
    def class_cost(
        self, logits: Float[Tensor, "L B Q C"], labels: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "L B Q M"]:
        """Return the cost of each object's class."""

    @abstractmethod
    def class_loss(self, predictions: DetPredictions, targets: DetTargets, match: Match) -> Float[Tensor, ""]:
        """Return the loss of the classes."""

    @abstractmethod
    def soft_class_cost(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects
    ) -> Float[Tensor, "L B Q M"]:
        """Return the cost of the class that a teacher sees."""

    @abstractmethod
    def soft_class_loss(
        self, logits: Float[Tensor, "L B Q C"], lesson: SoftObjects, match: Match
    ) -> Float[Tensor, ""]:
        """Return the distance from the classes that a teacher sees."""

    @abstractmethod
    def perfect_logits(
        self, logits: Float[Tensor, "L B Q C"], targets: DetTargets
    ) -> Float[Tensor, "L B Q C"]:
        """Return logits by which query m is of the class of object m."""

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> DetTargets:
        """Boxes and labels, padded."""
        return make_targets(annotations, canvas, device, self.columns, self.count)

    def cost(self, predictions: DetPredictions, targets: DetTargets) -> Float[Tensor, "L B Q M"]:
        """Class cost plus box cost."""
        classes = self.class_cost(predictions.logits, targets.labels)
        return self._with_boxes(classes, predictions, targets.boxes)

    def _with_boxes(
        self,
        classes: Float[Tensor, "L B Q M"],
        predictions: DetPredictions,
        boxes: Float[Tensor, "B M 4"],
    ) -> Float[Tensor, "L B Q M"]:
        l1, giou = self.config.cost_l1, self.config.cost_giou
        return self.cost_class * classes + box_cost(predictions.boxes, boxes, l1, giou)

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms."""
        assert match is not None
        boxes = box_losses(predictions.boxes, targets.boxes, match, shared_count(targets.valid.sum()))
        return self._weighted(self.class_loss(predictions, targets, match), boxes)

    def _weighted(self, classes: Tensor, boxes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        config = self.config
        return {
            "class": config.loss_class * classes,
            "l1": config.loss_l1 * boxes["l1"],
            "giou": config.loss_giou * boxes["giou"],
        }

    def teach(self, predictions: DetPredictions) -> SoftObjects:
        """Objects with the probability of every category; the last layer counts."""
        chances = self.probabilities(predictions.logits[-1])
        return soft_objects(chances, predictions.boxes[-1], predictions.pick)

    def distill(self, predictions: DetPredictions, lesson: SoftObjects) -> dict[str, Tensor]:
        """Class, L1 and GIoU terms, see ``mtvit_core.losses.distillation``."""
        with torch.no_grad():
            classes = self.soft_class_cost(predictions.logits, lesson)
            cost = self._with_boxes(classes, predictions, lesson.boxes)
        match = match_all({self.name: (cost, lesson.counts)})[self.name]
        boxes = soft_box_losses(predictions.boxes, lesson, match)
        return self._weighted(self.soft_class_loss(predictions.logits, lesson, match), boxes)

    def perfect(self, predictions: DetPredictions, targets: DetTargets) -> DetPredictions:
        """Query m says object m."""
        return replace(
            predictions,
            logits=self.perfect_logits(predictions.logits, targets),
            boxes=perfect_rows(predictions.boxes, targets.boxes, targets.valid),
        )

    def evaluator(self) -> CocoEvaluator:
        """COCO box AP."""
        results = max(self.config.queries, self.config.top_k)
        return CocoEvaluator(self.name, "bbox", self.categories, results=results)
