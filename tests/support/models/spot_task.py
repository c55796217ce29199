"""A whole task in few lines, for tests of what core does with tasks: one box and score per query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.tasks.task import Task, TaskConfig


class SpotConfig(TaskConfig):
    """Settings."""

    queries: int = 4
    enter: int = 0
    visibility: Literal["isolated", "joint"] = "isolated"
    view: Literal["image", "person"] = "image"
    masked: bool = False
    boxes: bool = True


@dataclass(frozen=True)
class SpotPredictions:
    """Logits and boxes cx cy w h relative to the canvas."""

    logits: Float[Tensor, "1 B Q"]
    boxes: Float[Tensor, "1 B Q 4"]
    canvas: tuple[int, int]


@dataclass(frozen=True)
class SpotTargets:
    """Boxes cx cy w h relative to the canvas, padded with zeros."""

    boxes: Float[Tensor, "B M 4"]
    counts: tuple[int, ...]
    labelled: Bool[Tensor, " B"]


class SpotHead(nn.Module):
    """A linear layer on each query."""

    def __init__(self, group: str, width: int) -> None:
        """Build the layer."""
        super().__init__()
        self.group = group
        self.linear = nn.Linear(width, 5)

    def forward(self, features: Features) -> SpotPredictions:
        """Read the queries of the output."""
        values = self.linear(features.last.queries[self.group][None])
        return SpotPredictions(values[..., 0], values[..., 1:].sigmoid(), features.canvas)


class Spot(Task[SpotConfig, SpotPredictions, SpotTargets]):
    """Finds boxes."""

    name: ClassVar[str] = "spot"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = SpotConfig
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    views: ClassVar[frozenset[str]] = frozenset({"image", "person"})

    @property
    def view(self) -> Literal["image", "person"]:
        """As the settings say."""
        return self.config.view

    @property
    def finds_boxes(self) -> bool:
        """As the settings say."""
        return self.config.boxes

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group of learned queries."""
        c, source = self.config, LearnedQueries(self.config.queries, backbone.width, std=1.0)
        return [TokenGroup(self.name, c.queries, c.enter, source, c.visibility, (backbone.depth,), c.masked)]

    def head(self, backbone: BackboneSpec) -> nn.Module:
        """The linear layer."""
        return SpotHead(self.name, backbone.width)

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> SpotTargets:
        """Pad the boxes."""
        size = torch.tensor([canvas[1], canvas[0]] * 2)
        boxes = [xyxy_to_cxcywh(a.boxes / size) for a in annotations]
        return SpotTargets(
            nn.utils.rnn.pad_sequence(boxes, batch_first=True).to(device),
            tuple(len(b) for b in boxes),
            torch.tensor(["boxes" in a.has for a in annotations], device=device),
        )

    def cost(self, predictions: SpotPredictions, targets: SpotTargets) -> Float[Tensor, "1 B Q M"]:
        """L1 distance."""
        return (predictions.boxes[..., None, :] - targets.boxes[None, :, None]).abs().sum(-1)

    def loss(
        self, predictions: SpotPredictions, targets: SpotTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """L1 distance of matched boxes, and cross-entropy of being matched."""
        assert match is not None
        near = (match.gather(predictions.boxes) - targets.boxes).abs().sum(-1)
        truth = match.scatter(match.matched.float(), predictions.logits.shape[2], 0.0)
        entropy = nn.functional.binary_cross_entropy_with_logits(predictions.logits, truth)
        return {"l1": (near * match.matched).sum(), "entropy": entropy}

    def decode(self, predictions: SpotPredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Every query, in order."""
        rows, columns = predictions.canvas
        scale = torch.tensor([columns, rows, columns, rows])
        return [ImageResult(self._found(predictions, i, at, scale)) for i, at in enumerate(meta)]

    def _found(self, predictions: SpotPredictions, i: int, at: ImageMeta, scale: Tensor) -> Instances:
        boxes = cxcywh_to_xyxy(predictions.boxes[0, i]).cpu() * scale
        count = len(boxes)
        return Instances(
            at.height,
            at.width,
            self.categories,
            labels=torch.zeros(count, dtype=torch.int64),
            scores=predictions.logits[0, i].sigmoid().cpu() * at.box_score,
            boxes=at.boxes_to_original(boxes),
            tasks=(self.name,) * count,
            rles=(None,) * count,
            keypoints=torch.full((count, self.categories.max_keypoints, 3), torch.nan),
            image_id=at.image_id,
            file_name=at.file_name,
        )

    def evaluator(self) -> CocoEvaluator:
        """COCO box AP."""
        return CocoEvaluator(self.name, "bbox", self.categories)


def spot_class(name: str) -> type[Spot]:
    """Return the task under another name."""
    return type(f"{name.title()}Task", (Spot,), {"name": name})
