"""Base class for tasks that label whole images: a plugin adds a name and a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.evaluation.image_labels import ImageLabelsEvaluator
from mtvit_core.heads.patch_classifier import ImageLogits, PatchClassifier
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasLabels
from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.task import API, Task, TaskConfig


class ImageLabelsConfig(TaskConfig):
    """Settings of a task that labels whole images: the weight of its loss."""

    loss_class: float = Field(1.0, ge=0)


@dataclass(frozen=True)
class ImageLabelsTargets:
    """Which categories each image shows, for which of them that is known, and which images are labelled."""

    present: Bool[Tensor, "B C"]
    known: Bool[Tensor, "B C"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]


C = TypeVar("C", bound=ImageLabelsConfig)


class ImageLabelsTask(Task[C, ImageLogits, ImageLabelsTargets]):
    """Names the categories of a whole image; it learns them from the boxes of objects.

    A subclass sets ``name`` and defines ``classifier``, or ``head`` if the mean patch token is not enough.
    Results are in ``ImageResult.labels`` under its name.
    """

    api: ClassVar[int] = API
    Config: ClassVar[type[TaskConfig]] = ImageLabelsConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    exportable: ClassVar[bool] = True

    def classifier(self, width: int) -> nn.Module:
        """Return a module from the mean patch token B D to logits B C; a linear layer by default.

        Args:
            width: Channels D of a token.
        """
        return nn.Linear(width, len(self.categories))

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """Add no tokens: the head reads the patches."""
        return []

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """Return a module from ``Features`` to ``ImageLogits``."""
        return PatchClassifier(self.classifier(backbone.width))

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any
    ) -> ImageLabelsTargets:
        """Mark the categories of each labelled image; a crowd shows its category too."""
        present = torch.zeros(len(annotations), len(self.categories), dtype=torch.bool)
        labelled = torch.tensor(["boxes" in a.has for a in annotations], dtype=torch.bool)
        known = labelled[:, None] & annotated_classes(annotations, len(self.categories))
        for row, annotation in zip(present, annotations, strict=True):
            row[annotation.labels] = "boxes" in annotation.has
        counts = tuple(present.sum(1).tolist())
        return ImageLabelsTargets(present.to(device), known.to(device), labelled.to(device), counts)

    def loss(
        self, predictions: ImageLogits, targets: ImageLabelsTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Return the binary cross-entropy, averaged over what is known of images and categories."""
        truth = targets.present.to(predictions.logits.dtype)
        entropy = F.binary_cross_entropy_with_logits(predictions.logits, truth, reduction="none")
        mean = (entropy * targets.known).sum() / shared_count(targets.known.sum())
        return {"class": self.config.loss_class * mean}

    def perfect(self, predictions: ImageLogits, targets: ImageLabelsTargets) -> ImageLogits:
        """Return logits that are certain of what is present; only tests ask for them."""
        return ImageLogits(torch.where(targets.present, SURE, -SURE))

    def decode(self, predictions: ImageLogits, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Return all categories of each image with their probabilities, best first; no objects."""
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: ImageLogits) -> CanvasLabels:
        """Return the probabilities."""
        return CanvasLabels(predictions.logits.sigmoid())

    def evaluator(self) -> Evaluator:
        """Return an evaluator of mean average precision."""
        return ImageLabelsEvaluator(self.name, len(self.categories))
