"""Small backbones with random weights, groups of tokens for them, and what they give by name."""

from typing import Literal

import torch
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, QuerySource, TokenGroup
from mtvit_core.heads.proposals import PickedQueries
from mtvit_core.model.backbone import create_backbone

Visibility = Literal["isolated", "joint"]
VIT, DINOV3, EVA02 = "vit_tiny_patch16_224", "vit_small_patch16_dinov3", "eva02_tiny_patch14_224"
DEPTH = 4


def make(name: str = VIT, depth: int = DEPTH, **options: float) -> PlainBackbone:
    """Return a small backbone with random weights."""
    side = 56 if name == EVA02 else 64
    backbone = create_backbone(name, (side, 2 * side), options={"depth": depth, **options})
    for value in backbone.parameters():
        nn.init.normal_(value, std=1.0 if value.ndim == 1 else value[0].numel() ** -0.5)
    return backbone


def images_for(backbone: PlainBackbone, count: int = 2) -> Tensor:
    """Return random images of the backbone's canvas."""
    return torch.randint(0, 256, (count, 3, *backbone.spec.canvas), dtype=torch.uint8)


def group(
    name: str,
    width: int = 192,
    enter: int = 0,
    visibility: Visibility = "isolated",
    count: int = 3,
    **rest: object,
) -> TokenGroup:
    """Return a group of learned queries of unit size."""
    return TokenGroup(name, count, enter, LearnedQueries(count, width, std=1.0), visibility, **rest)  # type: ignore[arg-type]


def picked(name: str, width: int = 192, enter: int = 1, count: int = 5) -> TokenGroup:
    """Return an isolated group picked from the context."""
    source: QuerySource = PickedQueries(count, width, classes=4)
    for value in source.parameters():
        nn.init.normal_(value, std=0.3)
    return TokenGroup(name, count, enter, source)


def flat(features: Features) -> dict[str, Tensor]:
    """Return the tokens of the output by name, patches as a sequence."""
    last = features.last
    return {"prefix": last.prefix, "patches": last.patches.flatten(2).transpose(1, 2), **last.queries}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], atol: float) -> None:
    """Compare tokens by name."""
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], atol=atol, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
