"""Detection broken in one place each, for the test that every check of the kit can fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from mtvit_core.annotations import Annotations
from mtvit_core.coco_evaluator import CocoEvaluator
from mtvit_core.counts import shared_count
from mtvit_core.features import Features
from mtvit_core.geometry import ImageMeta
from mtvit_core.instances import Instances
from mtvit_core.matching import Match
from mtvit_core.task import BackboneSpec, TaskConfig
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection

# Form


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

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[Instances]:
        return [self.change(found) for found in super().decode(predictions, meta)]


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


# Batches


class Squeezed(Detection):
    """The layer axis is dropped by squeeze()."""

    def decode(self, predictions: DetPredictions, meta: Sequence[ImageMeta]) -> list[Instances]:
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
        return CentredHead(backbone.width, len(self.categories), self._layers(backbone))


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


# Labels


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
        self, results: Sequence[Instances], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
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
        self, results: Sequence[Instances], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        super().update(results, annotations, meta)
        self.seen += len(results)

    def compute(self) -> dict[str, float]:
        return {**super().compute(), "images": float(self.seen)}


class CountsAll(Detection):
    """Its evaluator counts images without labels."""

    def evaluator(self) -> CocoEvaluator:
        return CountingEvaluator("det", "bbox", self.categories)


# There and back


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


# Weights and settings


class ForgetfulHead(PickedHead):
    """A random direction is no buffer."""

    def __init__(self, width: int, classes: int, layers: tuple[int, ...]) -> None:
        super().__init__(width, classes, layers)
        self.direction = torch.randn(classes)

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        return replace(found, logits=found.logits + self.direction)


class Forgetful(Detection):
    """A tensor of the head is not saved."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return ForgetfulHead(backbone.width, len(self.categories), self._layers(backbone))


class ShyConfig(DetConfig):
    """A setting that is not written."""

    seed: int = Field(0, exclude=True)


class Shy(Detection):
    """A setting is lost when a checkpoint is written."""

    Config: ClassVar[type[TaskConfig]] = ShyConfig


class Constant(Detection):
    """The loss has no gradient."""

    def loss(
        self, predictions: DetPredictions, targets: DetTargets, match: Match | None
    ) -> dict[str, Tensor]:
        terms = super().loss(predictions, targets, match)
        return {name: value.detach() + 0 * value for name, value in terms.items()}


class IdleHead(PickedHead):
    """A layer that nothing uses."""

    def __init__(self, width: int, classes: int, layers: tuple[int, ...]) -> None:
        super().__init__(width, classes, layers)
        self.idle = nn.Linear(width, width)


class Idle(Detection):
    """A weight that no loss reaches."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return IdleHead(backbone.width, len(self.categories), self._layers(backbone))


class OpenConfig(DetConfig):
    """Takes any key."""

    model_config = ConfigDict(extra="ignore")


class Open(Detection):
    """Unknown settings are passed over."""

    Config: ClassVar[type[TaskConfig]] = OpenConfig


class AnyConfig(DetConfig):
    """A setting without a type."""

    mood: Any = None


class Untyped(Detection):
    """A setting takes anything."""

    Config: ClassVar[type[TaskConfig]] = AnyConfig


class SoftConfig(DetConfig):
    """Can be changed."""

    model_config = ConfigDict(frozen=False)


class Soft(Detection):
    """Settings can be changed."""

    Config: ClassVar[type[TaskConfig]] = SoftConfig


# Other tasks


class CuriousHead(PickedHead):
    """Reads the queries of all tasks."""

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        crowd = sum(queries.mean() for queries in features.last.queries.values())
        return replace(found, logits=found.logits + crowd)


class Curious(Detection):
    """Other tasks change what it says."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return CuriousHead(backbone.width, len(self.categories), self._layers(backbone))


class RudeHead(PickedHead):
    """Changes what other heads read."""

    def forward(self, features: Features) -> DetPredictions:
        features.last.patches.mul_(2)
        return super().forward(features)


class Rude(Detection):
    """It changes what other tasks say."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return RudeHead(backbone.width, len(self.categories), self._layers(backbone))


class MeddlingHead(PickedHead):
    """Gives other heads something else to read."""

    def forward(self, features: Features) -> DetPredictions:
        queries = features.last.queries
        assert isinstance(queries, dict)
        for name in queries.keys() - {"det"}:
            queries[name] = queries[name] + 1
        return super().forward(features)


class Meddling(Detection):
    """It changes what other tasks say, unseen by the model."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return MeddlingHead(backbone.width, len(self.categories), self._layers(backbone))


# Export


class DecidingHead(PickedHead):
    """Asks for the value of a tensor."""

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        return found if found.logits.mean().item() > 0 else replace(found, logits=-found.logits)


class Deciding(Detection):
    """Python decides what is computed."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return DecidingHead(backbone.width, len(self.categories), self._layers(backbone))


class CountingHead(PickedHead):
    """Remembers how often it ran."""

    runs = 0

    def forward(self, features: Features) -> DetPredictions:
        found = super().forward(features)
        self.runs += 1
        return replace(found, logits=found.logits + self.runs)


class Counting(Detection):
    """What it says depends on what a program cannot hold."""

    def head(self, backbone: BackboneSpec) -> nn.Module:
        return CountingHead(backbone.width, len(self.categories), self._layers(backbone))


# Sharing queries


class Misplaced(Detection):
    """Counts its targets where it should tell their rows in the annotations."""

    def targets(self, annotations: Any, canvas: Any, device: Any) -> DetTargets:
        found = super().targets(annotations, canvas, device)
        return replace(found, objects=torch.arange(found.objects.shape[1]).expand_as(found.objects))


class Doubled(Detection):
    """Says that all its targets are one object."""

    def targets(self, annotations: Any, canvas: Any, device: Any) -> DetTargets:
        found = super().targets(annotations, canvas, device)
        return replace(found, objects=torch.zeros_like(found.objects))


class Secretive(Detection):
    """Does not tell the query of an object."""

    def decode(self, predictions: Any, meta: Any) -> list[Instances]:
        return [replace(found, queries=()) for found in super().decode(predictions, meta)]


class Particular(Detection):
    """Has other queries when they are its own."""

    def tokens(self, backbone: BackboneSpec) -> Any:
        return [replace(group, enter=group.enter - 1) for group in super().tokens(backbone)]


class Unshared(Detection):
    """Joins a group without a matching cost."""

    def cost(self, predictions: Any, targets: Any) -> Any:
        return None
