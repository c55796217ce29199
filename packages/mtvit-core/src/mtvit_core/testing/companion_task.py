"""A second task of an instance group, which gives every object a query of its own choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.heads.proposals import QueryRequest
from mtvit_core.losses.matching import Match
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.task import Task, TaskConfig

#: Cost of any other query: more than all that a sensible task asks for.
REFUSED = 1e6


class CompanionConfig(TaskConfig):
    """How it joins: as the task under test."""

    count: int
    enter: int
    layers: tuple[int, ...]
    labels: tuple[int, ...]
    visibility: Any = "isolated"


@dataclass(frozen=True)
class Tokens:
    """The shared queries, per depth."""

    queries: Float[Tensor, "L B Q D"]


@dataclass(frozen=True)
class Places:
    """All objects but crowds.

    Attributes:
        query: The query that each one is to have: its place from left to right.
        objects: Row of each in the annotations of its image.
        counts: Objects of each image.
        labelled: Every image is.
    """

    query: Int64[Tensor, "B M"]
    objects: Int64[Tensor, "B M"]
    counts: tuple[int, ...]
    labelled: Bool[Tensor, " B"]


class CompanionHead(nn.Module):
    """Passes on what it reads."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        """Keep the depths."""
        super().__init__()
        self.layers = layers

    def forward(self, features: Features) -> Tokens:
        """Read every depth at hand."""
        at_hand = features.at_hand(self.layers)
        return Tokens(torch.stack([layer.queries[Companion.name] for layer in at_hand]))


class Companion(Task[CompanionConfig, Tokens, Places]):
    """Says which query an object is to have, whatever the order of the annotations."""

    name: ClassVar[str] = "kit_companion"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = CompanionConfig
    needs: ClassVar[frozenset[str]] = frozenset()

    def query_request(self, backbone: BackboneSpec) -> QueryRequest:
        """As the settings say."""
        config = self.config
        return QueryRequest(config.count, config.enter, config.layers, config.labels, config.visibility)

    def tokens(self, backbone: BackboneSpec) -> Sequence[TokenGroup]:
        """None of its own."""
        return []

    def head(self, backbone: BackboneSpec) -> CompanionHead:
        """No weights."""
        return CompanionHead(self.config.layers)

    def targets(self, annotations: Sequence[Annotations], canvas: tuple[int, int], device: Any) -> Places:
        """Objects of each image, from left to right."""
        rows = [(~one.is_crowd).nonzero()[:, 0] for one in annotations]
        most = max((len(own) for own in rows), default=0)
        query = torch.zeros(len(rows), most, dtype=torch.int64)
        objects = torch.zeros_like(query)
        for image, (one, own) in enumerate(zip(annotations, rows, strict=True)):
            query[image, : len(own)] = one.boxes[own, 0].argsort().argsort()
            objects[image, : len(own)] = own
        counts = tuple(len(own) for own in rows)
        return Places(query.to(device), objects, counts, torch.ones(len(rows), dtype=torch.bool))

    def cost(self, predictions: Tokens, targets: Places) -> Float[Tensor, "L B Q M"]:
        """Nothing for the query of an object's place, very much for any other."""
        layers, _, queries, _ = predictions.queries.shape
        here = torch.arange(queries, device=targets.query.device)[:, None] == targets.query[:, None]
        return (REFUSED * (~here).to(predictions.queries.dtype)).expand(layers, -1, -1, -1)

    def loss(self, predictions: Tokens, targets: Places, match: Match | None) -> dict[str, Tensor]:
        """No term."""
        return {}

    def decode(self, predictions: Tokens, meta: Sequence[ImageMeta]) -> list[ImageResult]:
        """Nothing found."""
        return [ImageResult.empty(at, self.categories) for at in meta]

    def evaluator(self) -> CocoEvaluator:
        """Never used."""
        return CocoEvaluator(self.name, "bbox", self.categories)
