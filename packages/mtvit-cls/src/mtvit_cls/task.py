"""Which class, or which classes, a whole image shows."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mtvit_cls.config import ClsConfig
from mtvit_cls.evaluator import ClassificationEvaluator
from mtvit_cls.head import make_head
from mtvit_cls.loss import ClsTargets, binary_cross_entropy, cross_entropy
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.heads.patch_classifier import ImageLogits
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE
from mtvit_core.results.image_labels import ImageLabels
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasLabels, OnCanvas
from mtvit_core.structures.annotations import IMAGE_LABELS, Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.task import API, Task, TaskConfig


class Classification(Task[ClsConfig, ImageLogits, ClsTargets]):
    """Names the class or the classes of a whole image; its classes are ``Categories.of_images``."""

    name: ClassVar[str] = "cls"
    api: ClassVar[int] = API
    Config: ClassVar[type[TaskConfig]] = ClsConfig
    needs: ClassVar[frozenset[str]] = frozenset({IMAGE_LABELS})
    linkable: ClassVar[bool] = False
    exportable: ClassVar[bool] = True

    @property
    def finds_objects(self) -> bool:
        """Its results have no objects."""
        return False

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.categories.of_images)

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Add no tokens: the head reads patches or class tokens."""
        return []

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return the head of the wanted pooling, fresh."""
        return make_head(self.config, backbone, self.classes)

    def named_rows(self) -> Mapping[str, Sequence[Hashable]]:
        """Columns of the classes of images."""
        return {"head.classify": [category.name for category in self.categories.of_images]}

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> ClsTargets:
        """Stack the labels of the images.

        Raises:
            DataError: an image shows several classes, but the task is about one.
        """
        shares = torch.zeros(len(annotations), self.classes)
        known = torch.zeros(len(annotations), self.classes, dtype=torch.bool)
        for row, one in enumerate(annotations):
            if one.image_labels is not None:
                shares[row], known[row] = one.image_labels.present, one.image_labels.known
        if self.config.labels == "one" and int((shares == 1).sum(1).max()) > 1:
            raise DataError(
                "task 'cls': an image shows several classes, but tasks.cls.labels is 'one'; set it to 'many'."
            )
        labelled = torch.tensor([one.image_labels is not None for one in annotations])
        counts = tuple((shares > 0).sum(1).tolist())
        return ClsTargets(shares.to(device), known.to(device), labelled.to(device), counts)

    def loss(self, predictions: ImageLogits, targets: ClsTargets, match: Match | None) -> dict[str, Tensor]:
        """Return the loss that the settings name."""
        kind = self.config.loss or ("ce" if self.config.labels == "one" else "bce")
        entropy = cross_entropy if kind == "ce" else binary_cross_entropy
        return {"class": self.config.loss_class * entropy(predictions.logits, targets, self.config.smoothing)}

    def teach(self, predictions: ImageLogits) -> ImageLogits:
        """Return the logits: all variants have the same."""
        return predictions

    def distill(self, predictions: ImageLogits, lesson: ImageLogits) -> dict[str, Tensor]:
        """Return how far the scores are from the teacher's, by the loss of labels (Hinton et al. 2015).

        Raises:
            ConfigError: the teacher has other classes.
        """
        if lesson.logits.shape != predictions.logits.shape:
            raise ConfigError(
                f"task 'cls': the teacher has {lesson.logits.shape[1]} classes, the student {self.classes}; "
                "take a teacher of the same data."
            )
        every = torch.ones_like(lesson.logits, dtype=torch.bool)
        taught = ClsTargets(self.scores(lesson), every, every[:, 0], (self.classes,) * len(every))
        return self.loss(predictions, taught, None)

    def perfect(self, predictions: ImageLogits, targets: ClsTargets) -> ImageLogits:
        """Return logits that are certain of what is shown; only tests ask for them."""
        return ImageLogits(torch.where(targets.shares > 0, SURE, -SURE))

    def scores(self, predictions: ImageLogits) -> Tensor:
        """Return the score of each class, B C: of one label they sum to 1, of many they are independent."""
        logits = predictions.logits
        return logits.softmax(1) if self.config.labels == "one" else logits.sigmoid()

    def decode(self, predictions: ImageLogits, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return all classes of each image with their scores, best first; no objects."""
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: ImageLogits) -> CanvasLabels:
        """Return the scores."""
        return CanvasLabels(self.scores(predictions))

    def from_canvas(self, found: OnCanvas, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return the scores by class, best first; classes are those of images."""
        assert isinstance(found, CanvasLabels)
        return [
            replace(
                ImageResult.empty(at, self.categories),
                labels={self.name: ImageLabels.of(scores, self.categories.of_images)},
            )
            for scores, at in zip(found.scores, meta, strict=True)
        ]

    def evaluator(self) -> Evaluator:
        """Return an evaluator of top-1 and top-5 accuracy (one label), and mean average precision."""
        return ClassificationEvaluator(self.name, self.categories.of_images, self.config.labels == "one")
