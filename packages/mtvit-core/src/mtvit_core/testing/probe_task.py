"""A second task, which watches whether the one under test leaves others alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

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
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.task import VIEWS, Task, TaskConfig, View


class ProbeConfig(TaskConfig):
    """What the probe is shown, and the block before which its queries join."""

    view: View = "image"
    crop: CropRule = "udp"
    enter: int = 1


@dataclass(frozen=True)
class Reading:
    """All that a head can read, as one number per image and query or channel.

    Attributes:
        queries: The probe's own queries.
        patches: Mean of the patches.
    """

    queries: Float[Tensor, "B Q D"]
    patches: Float[Tensor, "B D"]


@dataclass(frozen=True)
class NoTargets:
    """Nothing but the number of images."""

    counts: tuple[int, ...]
    labelled: Bool[Tensor, " B"]


class ProbeHead(nn.Module):
    """Passes on what it reads."""

    def forward(self, features: Features) -> Reading:
        """Read queries and patches of the output."""
        return Reading(features.last.queries[Probe.name], features.last.patches.mean((2, 3)))


class Probe(Task[ProbeConfig, Reading, NoTargets]):
    """Isolated queries that enter early and are read at every depth, and a head without weights."""

    name: ClassVar[str] = "kit_probe"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = ProbeConfig
    needs: ClassVar[frozenset[str]] = frozenset()
    views: ClassVar[frozenset[str]] = frozenset(VIEWS)
    exportable: ClassVar[bool] = True

    @property
    def view(self) -> View:
        """As the settings say."""
        return self.config.view

    @property
    def crop(self) -> CropRule:
        """As the settings say."""
        return self.config.crop

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """One group, read at all depths from its entry on."""
        enter, source = self.config.enter, LearnedQueries(3, backbone.width, std=1.0)
        return [TokenGroup(self.name, 3, enter, source, layers=tuple(range(enter, backbone.depth + 1)))]

    def head(self, backbone: BackboneSpec) -> ProbeHead:
        """No weights."""
        return ProbeHead()

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> NoTargets:
        """None."""
        labelled = torch.zeros(len(annotations), dtype=torch.bool, device=device)
        return NoTargets((0,) * len(annotations), labelled)

    def loss(self, predictions: Reading, targets: NoTargets, match: Match | None) -> dict[str, Tensor]:
        """No term."""
        return {}

    def decode(self, predictions: Reading, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Nothing found."""
        return [ImageResult.empty(at, self.categories) for at in meta]

    def evaluator(self) -> CocoEvaluator:
        """Never used."""
        return CocoEvaluator(self.name, "bbox", self.categories)
