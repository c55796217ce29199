"""Tasks that are broken in their weights and settings."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.losses.matching import Match
from mtvit_core.tasks.task import TaskConfig
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions, PickedHead
from mtvit_det.targets import DetTargets
from mtvit_det.task import Detection


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
        return ForgetfulHead(backbone.width, len(self.categories), self.variant.layers(backbone))


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
        return IdleHead(backbone.width, len(self.categories), self.variant.layers(backbone))


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
