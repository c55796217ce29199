"""Who sees whom, against timm's own blocks run on all tokens with one dense mask made from the rules."""

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout, Span
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import TokenGroup
from support.models.attention_cases import (
    DEPTH,
    DINOV3,
    EVA02,
    VIT,
    Visibility,
    assert_same,
    flat,
    group,
    images_for,
    make,
    picked,
)


class FixedMask:
    """A masker that hides the same patches at every block, and notes what it was asked."""

    def __init__(self, mask: Tensor) -> None:
        """Keep the mask B Q N."""
        self.mask = mask
        self.asked: list[tuple[int, Tensor, Tensor]] = []

    def query_mask(self, layer: int, queries: Tensor, patches: Tensor) -> Tensor:
        """Return the mask."""
        self.asked.append((layer, queries, patches))
        return self.mask


def visible(row: str, column: str, groups: dict[str, TokenGroup]) -> bool:
    """The rules, as the documentation of ``TokenGroup`` has them."""
    if column == row or column in ("prefix", "patches"):
        return True
    is_joint = groups[column].visibility == "joint"
    return is_joint and (row in ("prefix", "patches") or groups[row].visibility == "joint")


def oracle(
    backbone: PlainBackbone,
    images: Tensor,
    groups: Sequence[TokenGroup],
    masks: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Run timm's blocks on prefix, queries and patches in one sequence, forbidden pairs at minus infinity."""
    vit, by_name = backbone.vit, {g.name: g for g in groups}
    is_rotary = backbone.name != VIT
    found = vit._pos_embed(vit.patch_embed(backbone.normalise(images)))
    x, rope = found if is_rotary else (found, None)
    x, rest = vit.norm_pre(x), backbone.prefix
    parts: dict[str, Tensor] = {"prefix": x[:, :rest], "patches": x[:, rest:]}
    for i, block in enumerate(vit.blocks):
        for entering in (g for g in groups if g.enter == i):
            parts[entering.name] = entering.source.weight.expand(len(x), -1, -1)  # type: ignore[union-attr,operator]
        order = [*(name for name in parts if name != "patches"), "patches"]
        bias = torch.zeros(len(x), 1, *[sum(parts[name].shape[1] for name in order)] * 2)
        spans = dict(
            zip(order, torch.arange(bias.shape[-1]).split([parts[n].shape[1] for n in order]), strict=True)
        )
        for row, column in itertools.product(order, order):
            cell = torch.zeros(len(x), len(spans[row]), len(spans[column]))
            if not visible(row, column, by_name):
                cell.fill_(-torch.inf)
            elif column == "patches" and row in (masks or {}):
                cell.masked_fill_(~(masks or {})[row], -torch.inf)
            bias[:, 0, spans[row][:, None], spans[column][None]] = cell
        whole = torch.cat([parts[name] for name in order], 1)
        if is_rotary:
            block.attn.num_prefix_tokens = whole.shape[1] - parts["patches"].shape[1]
        whole = block(whole, rope=rope, attn_mask=bias) if is_rotary else block(whole, attn_mask=bias)
        parts = {name: whole[:, spans[name]] for name in order}
    return {name: vit.norm(part) for name, part in parts.items()}


MIXES: dict[str, list[tuple[str, int, Visibility]]] = {
    "none": [],
    "isolated": [("a", 0, "isolated"), ("b", 2, "isolated"), ("c", 2, "isolated")],
    "joint": [("a", 0, "joint"), ("b", 2, "joint")],
    "joint after isolated": [
        ("a", 0, "isolated"),
        ("b", 1, "joint"),
        ("c", 2, "isolated"),
        ("d", 3, "joint"),
    ],
    "isolated after joint": [
        ("a", 0, "joint"),
        ("b", 1, "isolated"),
        ("c", 1, "joint"),
        ("d", 1, "isolated"),
    ],
    "listed late, entering early": [("a", 3, "joint"), ("b", 0, "isolated"), ("c", 0, "joint")],
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", [VIT, DINOV3, EVA02])
def test_equals_the_blocks_of_timm_under_a_dense_mask(name: str, mix: str) -> None:
    backbone = make(name).eval()
    groups = [
        group(n, backbone.spec.width, enter, kind, count=2 + i)
        for i, (n, enter, kind) in enumerate(MIXES[mix])
    ]
    images = images_for(backbone)
    with torch.no_grad():
        ours = flat(backbone(images, groups))
        assert_same(ours, oracle(backbone, images, groups), atol=2e-5)


@pytest.mark.parametrize("name", [VIT, DINOV3])
def test_query_masks_forbid_only_patches_and_only_to_their_queries(name: str) -> None:
    backbone = make(name)
    groups = [
        group("a", backbone.spec.width, 0, "joint", masked=True),
        group("b", backbone.spec.width, 1, "isolated", masked=True),
        group("c", backbone.spec.width, 1, "isolated"),
        group("d", backbone.spec.width, 2, "joint"),
    ]
    images = images_for(backbone)
    patches = backbone.spec.grid[0] * backbone.spec.grid[1]
    masks = {n: torch.rand(2, 3, patches) < 0.3 for n in ("a", "b")}
    masks["b"][0, 1] = False  # a query that sees no patch still has its group and the prefix
    with torch.no_grad():
        ours = flat(backbone(images, groups, {n: FixedMask(mask) for n, mask in masks.items()}))
        assert_same(ours, oracle(backbone, images, groups, masks), atol=2e-5)
        assert not torch.allclose(ours["a"], flat(backbone(images, groups))["a"], atol=1e-2)


def test_maskers_are_asked_before_every_block_and_only_in_training() -> None:
    backbone = make()
    masker = FixedMask(torch.ones(2, 3, 32, dtype=torch.bool))
    groups = [group("a", enter=1, masked=True, layers=(DEPTH,))]
    images = images_for(backbone)
    features = backbone(images, groups, {"a": masker})
    assert [layer for layer, _, _ in masker.asked] == [1, 2, 3]
    torch.testing.assert_close(masker.asked[1][1], features.layers[2].queries["a"])
    torch.testing.assert_close(masker.asked[1][2], features.layers[2].patches)
    backbone.eval()(images, groups, {"a": masker})
    assert len(masker.asked) == 3


def test_a_masker_may_let_everything_through() -> None:
    class Open(FixedMask):
        def query_mask(self, layer: int, queries: Tensor, patches: Tensor) -> Tensor | None:  # type: ignore[override]
            return None

    backbone, groups = make(), [group("a", masked=True)]
    images = images_for(backbone)
    with torch.no_grad():
        assert_same(
            flat(backbone(images, groups, {"a": Open(torch.ones(0))})), flat(backbone(images, groups)), atol=0
        )


def test_queries_are_read_at_every_depth_asked_for_in_training_and_at_the_output_otherwise() -> None:
    backbone = make()
    groups = [group("a", enter=1, layers=(1, 3, DEPTH)), group("b", enter=2, layers=(DEPTH,))]
    images = images_for(backbone)
    trained = backbone(images, groups)
    assert set(trained.layers) == {1, 3, DEPTH}
    assert set(trained.layers[1].queries) == {"a"}
    assert set(trained.layers[3].queries) == {"a", "b"}
    entered = backbone.vit.norm(groups[0].source.weight).expand(2, -1, -1)  # type: ignore[arg-type]
    torch.testing.assert_close(trained.layers[1].queries["a"], entered)
    evaluated = backbone.eval()(images, groups)
    assert set(evaluated.layers) == {DEPTH}
    assert_same(flat(evaluated), flat(trained), atol=1e-6)


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("name", [VIT, DINOV3])
def test_checkpointing_gives_the_same_gradients(name: str, precision: torch.dtype | None) -> None:
    backbone = make(name, drop_path_rate=0.5)
    width = backbone.spec.width
    groups = [
        picked("det", width),
        group("seg", width, 1, "isolated", masked=True, layers=(2, DEPTH)),
        group("pose", width, 0, "joint"),
    ]
    sources = nn.ModuleList(g.source for g in groups)
    images, masker = images_for(backbone), FixedMask(torch.rand(2, 3, 32) < 0.5)
    backbone.precision = precision
    results = []
    for checkpointing in (False, True):
        backbone.checkpointing = checkpointing
        backbone.zero_grad()
        sources.zero_grad()
        torch.manual_seed(3)  # the same blocks are dropped
        features = backbone(images, groups, {"seg": masker})
        loss = sum(value.float().square().mean() for value in flat(features).values())
        loss = loss + features.layers[2].queries["seg"].square().mean()
        assert isinstance(loss, Tensor)
        loss.backward()
        results.append(
            [p.grad for p in [*backbone.parameters(), *sources.parameters()] if p.grad is not None]
        )
    assert len(results[0]) == len(results[1]) > 20
    for plain, saved in zip(*results, strict=True):
        assert torch.equal(plain, saved)


def test_reduced_precision_is_for_the_products_of_blocks_and_stays_near() -> None:
    backbone = make().eval()
    images, groups = images_for(backbone), [picked("det"), group("seg", visibility="joint")]
    types: dict[str, torch.dtype] = {}
    block, source = backbone.vit.blocks[2], groups[0].source
    for name, module in (("qkv", block.attn.qkv), ("fc1", block.mlp.fc1), ("source", source.score)):
        module.register_forward_hook(lambda _, __, output, name=name: types.update({name: output.dtype}))
    with torch.no_grad():
        exact = flat(backbone(images, groups[1:]))
        backbone.precision = torch.bfloat16
        rough = flat(backbone(images, groups[1:]))
        read = flat(backbone(images, groups))
    assert types == {"qkv": torch.bfloat16, "fc1": torch.bfloat16, "source": torch.float32}
    assert {value.dtype for value in read.values()} == {torch.float32}
    for name, value in exact.items():
        assert 0 < (rough[name] - value).abs().mean() < 0.05


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["joint", "isolated", "joint", "isolated"], 4))[::5]
)
def test_layout_keeps_context_joint_groups_and_isolated_groups_apart(order: tuple[Visibility, ...]) -> None:
    layout, names = Layout(2, 10), [""] * 10
    for i, visibility in enumerate(order):
        layout, start = layout.enter(str(i), i + 1, visibility)
        names[start:start] = [str(i)] * (i + 1)
        assert layout.stop == len(names)
    for span in layout.spans:
        assert set(names[span.start : span.stop]) == {span.name}
        assert (span.stop <= layout.joint_stop) == (span.visibility == "joint")
    assert [s.start for s in layout.spans] == [10, *(s.stop for s in layout.spans[:-1])]
    assert layout.joint_stop == 10 + sum(i + 1 for i, v in enumerate(order) if v == "joint")


def test_layout_without_groups() -> None:
    layout = Layout(1, 5)
    assert layout.joint_stop == layout.stop == 5
    grown, start = layout.enter("a", 2, "isolated")
    assert start == 5
    assert grown.spans == (Span("a", 5, 7, "isolated"),)
    assert grown.joint_stop == 5
