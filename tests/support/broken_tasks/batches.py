"""Tasks that are broken in how they treat the images of a batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection


class Squeezed(Detection):
    """The layer axis is dropped by squeeze()."""

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        images, queries, _ = predictions.logits.squeeze().shape
        assert images * queries
        return super().decode(predictions, meta)


class CentredHead(PickedHead):
    """The mean over the batch is taken off."""

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        return replace(found, logits=found.logits - found.logits.mean(1, keepdim=True))


class BatchNormed(Detection):
    """Predictions depend on the other images."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return CentredHead(backbone.width, len(self.categories), self.variant.layers(backbone))


class LargestBox(Detection):
    """Targets depend on the other images."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> DetTargets:
        targets = super().targets(annotations, canvas, device)
        return replace(targets, boxes=targets.boxes / targets.boxes.max())


class Summed(Detection):
    """The loss is a sum over images."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        terms = super().loss(predictions, targets, match)
        return {name: value * len(targets.counts) for name, value in terms.items()}


class CountsAlone(Detection):
    """The loss is divided by the objects of its own share of the batch."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        terms, own = super().loss(predictions, targets, match), targets.valid.sum()
        return {name: value * shared_count(own) / own.clamp(min=1) for name, value in terms.items()}


class CountsSometimes(Detection):
    """What is counted depends on the batch."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        if not bool(targets.valid.any()):
            return {"class": 0 * predictions.logits.sum(), "box": 0 * predictions.boxes.sum()}
        terms = super().loss(predictions, targets, match)
        return {"class": terms["class"], "box": terms["l1"]}
