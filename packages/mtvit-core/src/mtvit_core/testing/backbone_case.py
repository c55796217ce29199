"""A backbone under test: its name and options, the images it is shown, and groups of queries that join it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, Option
from mtvit_core.backbones.tokens import (
    Context,
    Entry,
    LearnedQueries,
    Pick,
    QuerySource,
    TokenGroup,
    Visibility,
)
from mtvit_core.model.backbone import create_backbone
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import stir

#: Largest difference where the same is computed by products of another shape, relative to the largest value.
EQUAL = 1e-5
#: The same where an isolated group comes or goes.
UNCHANGED = 1e-6
#: Smallest difference, relative to the largest value, where something is to have an effect.
EFFECT = 1e-4
#: Queries of a group.
QUERIES = 3


@dataclass(frozen=True)
class BackboneCase:
    """What the checks are given.

    Attributes:
        name: The backbone's name.
        options: Its options.
        canvas: Rows and columns that it is built for.
    """

    name: str
    options: Mapping[str, Option]
    canvas: tuple[int, int]

    def fresh(self, seed: int = 0, pretrained: str | Path | bool = False) -> Backbone:
        """Make the backbone.

        Args:
            seed: Of the weights.
            pretrained: Where they come from, if not from the seed.
        """
        torch.manual_seed(seed)
        return create_backbone(self.name, self.canvas, pretrained, self.options)

    def stirred(self, seed: int = 0) -> Backbone:
        """Make the backbone with weights that are all random, in evaluation mode."""
        return stir(self.fresh(seed)).eval()

    def images(self, canvas: tuple[int, int] | None = None, count: int = 2) -> UInt8[Tensor, "B 3 H W"]:
        """Draw images of noise, always the same."""
        generator = torch.Generator().manual_seed(0)
        size = (count, 3, *(canvas or self.canvas))
        return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


class Copied(QuerySource):
    """Queries that begin as the first patches do, with a pick that says so.

    Attributes:
        seen: What it was asked with.
    """

    def __init__(self) -> None:
        """Start unasked."""
        super().__init__()
        self.seen: list[Context] = []

    def forward(self, context: Context) -> Entry:
        """Take the first patches."""
        self.seen.append(context)
        index = torch.arange(QUERIES).expand(len(context.patches), -1)
        pick = Pick.among(context.patches[..., :1], context.patches[..., :4], index)
        return Entry(context.patches[:, :QUERIES], pick)


class Placed(LearnedQueries):
    """Learned queries with one table of positions, which is added after one block."""

    table: Tensor

    def __init__(self, width: int) -> None:
        """Draw both."""
        super().__init__(QUERIES, width, std=1.0)
        self.register_buffer("table", torch.randn(QUERIES, width))

    def positions(self, blocks: int) -> Float[Tensor, "Q D"] | None:
        """The table, after the first block."""
        return self.table if blocks == 1 else None


def learned(
    backbone: Backbone,
    name: str,
    enter: int = 0,
    visibility: Visibility = "isolated",
    masked: bool = False,
    source: QuerySource | None = None,
) -> TokenGroup:
    """Return a group that is read at every depth, by default of learned queries."""
    source = source or LearnedQueries(QUERIES, backbone.spec.width, std=1.0)
    layers = tuple(range(enter, backbone.spec.depth + 1))
    return TokenGroup(name, QUERIES, enter, source, visibility, layers, masked)


def tensors(features: Features) -> dict[str, Tensor]:
    """All that a pass gives, by words for messages."""
    found: dict[str, Tensor] = {}
    for depth, layer in sorted(features.layers.items()):
        where = "the output" if depth == features.depth else f"depth {depth}"
        found |= {f"the patches at {where}": layer.patches, f"the prefix tokens at {where}": layer.prefix}
        found |= {f"the queries of {name!r} at {where}": value for name, value in layer.queries.items()}
    return found | {f"class token {i}": token for i, token in enumerate(features.class_tokens)}


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value, or to 1 where all are smaller."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    difference = float((a.double() - b.double()).abs().max()) / max(1.0, float(a.abs().max()))
    return difference if difference == difference else float("inf")


def require_same(
    expected: Mapping[str, Tensor], got: Mapping[str, Tensor], limit: float, what: str, remedy: str
) -> None:
    """Refuse values that differ.

    Raises:
        Breach: naming the first one.
    """
    for name, value in expected.items():
        if name not in got:
            raise Breach(f"{name}: not there {what}", remedy)
        difference = gap(value.detach(), got[name].detach())
        if difference > limit:
            raise Breach(f"{name}: a difference of {difference:.3g} {what}", remedy)
