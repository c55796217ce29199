"""A pass from a known context says what a pass from the images says."""

import pytest
import torch
from torch import nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.known_context import known_depths
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup, Visibility
from mtvit_core.errors import ConfigError
from mtvit_core.heads.proposals import PickedQueries
from mtvit_core.model.backbone import create_backbone
from support.models import broken_backbones

DEPTH = 4
VIT = "vit_tiny_patch16_224"


def make(name: str, **options: bool) -> PlainBackbone:
    """A small backbone in training, with random weights."""
    torch.manual_seed(0)
    backbone = create_backbone(name, (32, 64), options={"depth": DEPTH, **options})
    for value in backbone.parameters():
        nn.init.normal_(value, std=1.0 if value.ndim == 1 else value[0].numel() ** -0.5)
    return backbone


def group(
    backbone: Backbone, name: str, enter: int, see: Visibility = "isolated", layers: tuple[int, ...] = ()
) -> TokenGroup:
    """Learned queries."""
    source = LearnedQueries(3, backbone.spec.width, std=1.0, tables=DEPTH - enter)
    return TokenGroup(name, 3, enter, source, see, layers)


def picked(backbone: Backbone, name: str, enter: int) -> TokenGroup:
    """Queries that are picked from the context where they enter."""
    return TokenGroup(name, 3, enter, PickedQueries(3, backbone.spec.width, classes=2))


def numbers(features: Features) -> dict[str, torch.Tensor]:
    """All that features hold."""
    found = {f"pick {name}": pick.logits for name, pick in features.picks.items()}
    for depth, layer in features.layers.items():
        found |= {f"{depth} patches": layer.patches, f"{depth} prefix": layer.prefix}
        found |= {f"{depth} {name}": queries for name, queries in layer.queries.items()}
    return found


@pytest.mark.parametrize("patches", [True, False])
@pytest.mark.parametrize("frozen", [1, 2, 3, DEPTH])
@pytest.mark.parametrize(
    "backbone",
    [make(VIT), make(VIT, positions_between=True), make("vit_small_patch16_dinov3")],
    ids=["learned", "positions between blocks", "rotary"],
)  # fmt: skip
def test_a_known_context_gives_the_same_features(backbone: PlainBackbone, frozen: int, patches: bool) -> None:
    groups = [
        group(backbone, "early", 2, layers=(0, 1, 3, DEPTH)),
        picked(backbone, "late", 3),
        group(backbone, "joint", 3, "joint"),
    ]
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    for seen in (groups, groups[:2], groups[1:2], []):
        depths = known_depths(seen, DEPTH, frozen, patches or not seen)
        with torch.no_grad():
            known = backbone.context(images, depths)
        whole = numbers(backbone(images, seen, patches=patches or not seen))
        late = numbers(backbone.forward_known(known, (32, 64), seen, patches=patches or not seen))
        assert whole.keys() == late.keys()
        for name, value in whole.items():
            torch.testing.assert_close(late[name], value, atol=2e-4, rtol=1e-4)


def test_only_what_is_needed_is_kept() -> None:
    backbone = make(VIT)
    late, read = group(backbone, "late", 3), group(backbone, "early", 2, layers=(0, 3))
    joint = group(backbone, "joint", 1, "joint")
    assert known_depths([late], DEPTH, DEPTH, patches=False) == (3,)
    assert known_depths([late], DEPTH, DEPTH, patches=True) == (3, 4)
    assert known_depths([late, read], DEPTH, DEPTH, patches=False) == (0, 2, 3)
    assert known_depths([late, read], DEPTH, 2, patches=True) == (0, 2)
    assert known_depths([late, joint], DEPTH, DEPTH, patches=True) == (1,)
    assert known_depths([], DEPTH, DEPTH, patches=True) == (4,)


def test_frozen_blocks_draw_nothing_and_have_no_gradient() -> None:
    backbone = make("vit_small_patch16_dinov3", rope_rescale=2)
    backbone.freeze(2)
    assert backbone.training
    assert not backbone.vit.rope.training
    assert [block.training for block in backbone.blocks()] == [False, False, True, True]
    trained = {backbone.depth_of(name) for name, w in backbone.named_parameters() if w.requires_grad}
    assert trained == {3, 4, 5}
    backbone.freeze(DEPTH)
    assert not any(weight.requires_grad for weight in backbone.parameters())


def test_a_family_may_not_offer_it() -> None:
    other = broken_backbones.Whole("broken:Whole", (64, 64), {}, broken_backbones.example.NanoOptions())
    with pytest.raises(ConfigError) as error:
        other.context(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), (1,))
    assert str(error.value) == (
        "backbone 'broken:Whole': its family does not say what the context is before a block, so frozen "
        "blocks cannot be cached; set cache.views=0, or take a plain ViT of timm."
    )
