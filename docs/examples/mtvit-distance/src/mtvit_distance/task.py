"""Distance: the parts wired to the task contract. No queries: the head reads the patches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from mtvit_core import (
    Annotations,
    BackboneSpec,
    CanvasMap,
    ImageMeta,
    ImageResult,
    Match,
    Task,
    TaskConfig,
    TokenGroup,
    shared_count,
)
from mtvit_distance.evaluator import DistanceEvaluator
from mtvit_distance.head import DistanceHead, DistancePredictions


class DistanceConfig(TaskConfig):
    """``[tasks.distance]``: channels of the head, numbers along each side of a patch, weight of the loss."""

    channels: int = Field(64, ge=1)
    fine: int = Field(4, ge=1)
    loss_l1: float = Field(4.0, ge=0)


@dataclass(frozen=True)
class DistanceTargets:
    """Depth of every pixel of the canvas, and where it is known; which images are labelled; no objects."""

    depth: Float[Tensor, "B H W"]
    known: Bool[Tensor, "B H W"]
    labelled: Bool[Tensor, " B"]
    counts: tuple[int, ...]


class Distance(Task[DistanceConfig, DistancePredictions, DistanceTargets]):
    """Tells how far away every pixel is, in the unit of the data."""

    name: ClassVar[str] = "distance"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = DistanceConfig
    needs: ClassVar[frozenset[str]] = frozenset({"depth"})
    exportable: ClassVar[bool] = True

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """No tokens."""
        return []

    def head(self, backbone: BackboneSpec) -> DistanceHead:
        """Two convolutions."""
        return DistanceHead(backbone.width, self.config.channels, self.config.fine)

    def targets(
        self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: torch.device
    ) -> DistanceTargets:
        """Stack the dense labels; images without one have no labelled pixel."""
        nothing = torch.full(canvas, torch.nan)
        maps = [a.maps["depth"] if "depth" in a.has else nothing for a in annotations]
        depth, labelled = torch.stack(maps).to(device), torch.tensor(["depth" in a.has for a in annotations])
        counts = (0,) * len(annotations)
        return DistanceTargets(depth.nan_to_num(), ~depth.isnan(), labelled.to(device), counts)

    def loss(
        self, predictions: DistancePredictions, targets: DistanceTargets, match: Match | None
    ) -> dict[str, Tensor]:
        """Mean absolute error of the labelled pixels; 0 where there is none."""
        error = (predictions.depth - targets.depth).abs() * targets.known
        return {"l1": self.config.loss_l1 * error.sum() / shared_count(targets.known.sum())}

    def perfect(self, predictions: DistancePredictions, targets: DistanceTargets) -> DistancePredictions:
        """The labels themselves; only tests ask for them."""
        return DistancePredictions(targets.depth)

    def decode(self, predictions: DistancePredictions, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """No objects, but one number per pixel of the original image."""
        return self.from_canvas(self.on_canvas(predictions), meta)

    def on_canvas(self, predictions: DistancePredictions) -> CanvasMap:
        """The depth of every pixel of the canvas; exported models tell it."""
        return CanvasMap(predictions.depth[:, None], ("distance",))

    def evaluator(self) -> DistanceEvaluator:
        """Mean absolute error, and the share of pixels within a quarter."""
        return DistanceEvaluator()
