"""Checks of how token groups join a backbone, and who sees whom."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.tokens import TokenGroup
from mtvit_core.testing.backbone_case import (
    EFFECT,
    EQUAL,
    QUERIES,
    UNCHANGED,
    BackboneCase,
    Copied,
    Placed,
    gap,
    learned,
    require_same,
    tensors,
)
from mtvit_core.testing.breach import Breach


def isolation(case: BackboneCase) -> None:
    """An isolated group changes nothing but itself: where it comes or goes, all else stays to 1e-6."""
    backbone, images = case.stirred(), case.images()
    last = backbone.spec.depth - 1
    groups = [
        learned(backbone, "a"),
        learned(backbone, "b", last),
        learned(backbone, "c", 0, "joint"),
        learned(backbone, "d", last // 2),
    ]
    for gradient in (False, True):
        with torch.set_grad_enabled(gradient):
            together = tensors(backbone(images, groups))
            for kept in (groups[1:], groups[:1] + groups[2:], groups[2:3], groups[::-1]):
                without = ", ".join(repr(group.name) for group in groups if group not in kept)
                require_same(
                    tensors(backbone(images, kept)),
                    together,
                    UNCHANGED,
                    f"beside {without or 'the same groups in another order'}"
                    f" {'with' if gradient else 'without'} gradients",
                    "let context and joint groups attend to nothing isolated, and an isolated group to the "
                    "context and itself; mtvit_core.backbones.attention.attend does so",
                )


@torch.no_grad()
def joint_groups(case: BackboneCase) -> None:
    """Context and joint groups attend to each other; an isolated group beside them sees the context alone."""
    backbone, images = case.stirred(), case.images()
    last = backbone.spec.depth - 1
    one, two = (learned(backbone, name, last, "joint") for name in ("one", "two"))
    alone = learned(backbone, "alone", last)
    before = tensors(backbone(images, [one, two, alone]))
    for weight in one.source.parameters():
        torch.nn.init.normal_(weight)
    after = tensors(backbone(images, [one, two, alone]))
    for name in ("the patches at the output", "the queries of 'two' at the output"):
        if gap(before[name], after[name]) < EFFECT:
            raise Breach(
                f"{name} stay as they are when another joint group changes",
                "let context and joint groups attend to each other, from the entry block on",
            )
    own = "the queries of 'alone' at the output"
    require_same(
        {own: before[own]},
        after,
        UNCHANGED,
        "with a joint group",
        "let isolated groups see the context alone",
    )


@torch.no_grad()
def entry(case: BackboneCase) -> None:
    """A group may join before any block: its source sees the context there, and it is read from there on."""
    backbone, images = case.stirred().train(), case.images()
    contexts: list[Tensor] = []
    for enter in range(backbone.spec.depth):
        source = Copied()
        features = _seeded(backbone, images, [learned(backbone, "a", enter, source=source)])
        if len(source.seen) != 1:
            raise Breach(
                f"the source of a group that enters at block {enter} was asked {len(source.seen)} times",
                "ask each source once, right before its entry block",
            )
        (context,) = source.seen
        _check_read(features, enter, backbone.spec.depth)
        layer = features.layers[enter]
        require_same(
            {"the first patches": layer.patches.flatten(2).transpose(1, 2)[:, :QUERIES]},
            {"the first patches": layer.queries["a"]},
            EQUAL,
            f"as queries that begin as they do, before their entry block {enter}",
            "let a group join right before the block `enter`, with the content that its source returns",
        )
        if any(gap(context.patches, earlier) < EFFECT for earlier in contexts):
            raise Breach(
                f"the context before block {enter} is that before an earlier block",
                "give the source the tokens that block `enter` is about to read",
            )
        contexts.append(context.patches)
        if "a" not in features.picks:
            raise Breach(
                "the pick of a source is not in Features.picks", "keep Entry.pick by the group's name"
            )


def _check_read(features: Features, enter: int, depth: int) -> None:
    for at in range(enter, depth + 1):
        if at not in features.layers or "a" not in features.layers[at].queries:
            raise Breach(
                f"a group that enters at block {enter} is not read at depth {at}",
                "in training, keep LayerFeatures at every depth in TokenGroup.layers",
            )


@torch.no_grad()
def positions(case: BackboneCase) -> None:
    """What a source says of positions is added to its tokens, by the number of blocks they have passed."""
    backbone, images = case.stirred().train(), case.images()
    source = Placed(backbone.spec.width)
    group = learned(backbone, "a", source=source)
    with_table = tensors(_seeded(backbone, images, [group]))
    source.table.zero_()
    without = tensors(_seeded(backbone, images, [group]))
    at_entry = "the queries of 'a' at depth 0"
    require_same(
        {at_entry: without[at_entry]},
        with_table,
        UNCHANGED,
        "by positions of a later place",
        "add source.positions(blocks), blocks counted from the group's entry",
    )
    later = "the queries of 'a' at depth 1"
    if gap(with_table[later], without[later]) < EFFECT:
        raise Breach(
            "the positions that a source gives after one block are not added",
            "add source.positions(blocks) to the group's tokens before each block",
        )


class FirstPatch:
    """A head that lets queries see the first patch, or all of them.

    Attributes:
        all: Whether they see all.
        asked: Number of times that it was asked.
    """

    def __init__(self, all_: bool) -> None:
        """Choose."""
        self.all, self.asked = all_, 0

    def query_mask(
        self, layer: int, queries: Float[Tensor, "B Q D"], patches: Float[Tensor, "B D h w"]
    ) -> Bool[Tensor, "B Q N"]:
        """Return the mask."""
        self.asked += 1
        mask = torch.full((*queries.shape[:2], patches[0, 0].numel()), self.all)
        mask[..., 0] = True
        return mask


@torch.no_grad()
def masks(case: BackboneCase) -> None:
    """In training, queries of a masked group attend only to the patches that their head allows."""
    backbone, images = case.stirred(), case.images()
    group = learned(backbone, "a", masked=True)
    plain, full, first = {}, FirstPatch(all_=True), FirstPatch(all_=False)
    plain = tensors(backbone(images, [group], {"a": first}))
    if first.asked:
        raise Breach("the head is asked for masks in evaluation", "ask for masks in training only")
    backbone.train()
    plain = tensors(_seeded(backbone, images, [group]))
    require_same(
        plain,
        tensors(_seeded(backbone, images, [group], {"a": full})),
        EQUAL,
        "by a mask that allows all patches",
        "forbid query-to-patch pairs alone; context and other queries stay visible",
    )
    masked = tensors(_seeded(backbone, images, [group], {"a": first}))
    own = "the queries of 'a' at the output"
    if gap(plain[own], masked[own]) < EFFECT:
        raise Breach(
            "a mask that allows one patch changes nothing",
            "hand the masks of `maskers` to attention in every block from the entry on",
        )
    others = {name: value for name, value in plain.items() if "queries" not in name}
    require_same(others, masked, UNCHANGED, "by the mask of an isolated group", "mask queries alone")


def _seeded(
    backbone: Backbone,
    images: Tensor,
    groups: list[TokenGroup],
    maskers: dict[str, FirstPatch] | None = None,
) -> Features:
    """A pass whose draws, as of dropped paths, are always the same."""
    torch.manual_seed(0)
    found: Features = backbone(images, groups, maskers)
    return found
