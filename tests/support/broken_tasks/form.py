"""Tasks that are broken in what they declare and return."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection


class OtherVersion(Detection):
    """Written for another version of the contract."""

    api: ClassVar[int] = 99


@dataclass(frozen=True)
class Scores:
    """Predictions whose axes are not in the declared order."""

    logits: Float[Tensor, "B Q C"]


@dataclass
class LooseScores:
    """Predictions that can be changed."""

    logits: Float[Tensor, "B Q C"]


@dataclass(frozen=True)
class BareScores:
    """Predictions without shapes."""

    logits: Tensor


class ScoreHead(nn.Module):
    """A linear layer on the picked queries."""

    def __init__(self, width: int, kind: type, swap: bool) -> None:
        super().__init__()
        self.linear, self.kind, self.swap = nn.Linear(width, 3), kind, swap

    def forward(self, features: Features) -> Any:
        logits = self.linear(features.last.queries["det"])
        return self.kind(logits.transpose(0, 1) if self.swap else logits)


class SwappedAxes(Detection):
    """Q stands before B."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return ScoreHead(backbone.width, Scores, swap=True)


class LoosePredictions(Detection):
    """The dataclass is not frozen."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return ScoreHead(backbone.width, LooseScores, swap=False)


class BarePredictions(Detection):
    """No shape is declared."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return ScoreHead(backbone.width, BareScores, swap=False)


class ListedCounts(Detection):
    """Counts are a list."""

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> Any:
        targets = super().targets(annotations, canvas, device)
        object.__setattr__(targets, "counts", list(targets.counts))
        return targets


class Denying(Detection):
    """The head reads what the task denies."""

    @property
    def reads_patches(self) -> bool:
        return False


class ConstantLoss(Detection):
    """The loss is cut off from the predictions."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in super().loss(predictions, targets, match).items()}


class LoggedLoss(Detection):
    """A term is not finite."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        terms = super().loss(predictions, targets, match)
        return {**terms, "giou": (terms["giou"] * 0).log()}


class Results(Detection):
    """Results are changed at the end."""

    def change(self, found: Instances) -> Instances:
        return found

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        return [ImageResult(self.change(found.instances)) for found in super().decode(predictions, meta)]


class Logits(Results):
    """Scores are no probabilities."""

    def change(self, found: Instances) -> Instances:
        return replace(found, scores=found.scores.logit(1e-6))


class Ids(Results):
    """Labels are ids of the data set."""

    def change(self, found: Instances) -> Instances:
        ids = torch.tensor([category.id for category in self.categories])
        return replace(found, labels=ids[found.labels])


class Sizes(Results):
    """Boxes are x y width height."""

    def change(self, found: Instances) -> Instances:
        return replace(
            found, boxes=torch.cat([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], 1)
        )


class Anonymous(Results):
    """The id of the image is lost."""

    def change(self, found: Instances) -> Instances:
        return replace(found, image_id=0)
