"""Presence: the parts wired to the task contract."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.losses.perfect import SURE
from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_result import ImageLabels, ImageResult
from mtvit_core.tasks.task import Task, TaskConfig
from mtvit_presence.evaluator import PresenceEvaluator
from mtvit_presence.head import PresenceHead, PresencePredictions


class PresenceConfig(TaskConfig):
    """``[tasks.presence]``: the weight of its loss."""

    loss_class: float = Field(1.0, ge=0)


@dataclass(frozen=True)
class PresenceTargets:
    """Which categories each image shows, of which that is known, which images are labelled, and counts."""

    present: Bool[Tensor, "B C"]
    known: Bool[Tensor, "B C"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]


class Presence(Task[PresenceConfig, PresencePredictions, PresenceTargets]):
    """Names the categories of an image."""

    name: ClassVar[str] = "presence"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = PresenceConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    exportable: ClassVar[bool] = True

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """No tokens: the head reads the patches, which are there anyway."""
        return []

    def head(self, backbone: BackboneSpec) -> PresenceHead:
        """The linear layer."""
        return PresenceHead(backbone.width, len(self.categories))

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> PresenceTargets:
        """Mark the categories of every labelled image; a crowd shows its category too."""
        present = torch.zeros(len(annotations), len(self.categories), dtype=torch.bool)
        labelled = torch.tensor(["boxes" in a.has for a in annotations], dtype=torch.bool)
        known = labelled[:, None] & annotated_classes(annotations, len(self.categories))
        for row, annotation in zip(present, annotations, strict=True):
            row[annotation.labels] = "boxes" in annotation.has
        counts = tuple(present.sum(1).tolist())
        return PresenceTargets(present.to(device), known.to(device), labelled.to(device), counts)

    def loss(
        self, predictions: PresencePredictions, targets: PresenceTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Binary cross-entropy, averaged over what is known of categories and images; 0 where nothing is."""
        truth = targets.present.to(predictions.logits.dtype)
        entropy = F.binary_cross_entropy_with_logits(predictions.logits, truth, reduction="none")
        mean = (entropy * targets.known).sum() / shared_count(targets.known.sum())
        return {"class": self.config.loss_class * mean}

    def perfect(self, predictions: PresencePredictions, targets: PresenceTargets) -> PresencePredictions:
        """Logits that are certain of what is present; only tests ask for them."""
        return PresencePredictions(torch.where(targets.present, SURE, -SURE))

    def decode(self, predictions: PresencePredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Every category with its probability, best first; no objects."""
        return [
            replace(
                ImageResult.empty(at, self.categories),
                labels={self.name: ImageLabels.of(scores, self.categories)},
            )
            for scores, at in zip(predictions.logits.sigmoid(), meta, strict=True)
        ]

    def evaluator(self) -> PresenceEvaluator:
        """Mean average precision of the ranking of images."""
        return PresenceEvaluator(self.name, len(self.categories))
