"""Where the weights of a ViTPose come from, and what the shapes of a file tell.

positions   of patch i: pos[i + 1] + pos[0], the row of the class token, which is no token here
fc2         of ViTPose+: the shared rows above those of the expert of the chosen data set
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from mtvit_core.published.recipe import Recipe, copied, stacked
from mtvit_core.published.source import Source
from mtvit_pose.published.vitpose_keys import Names

AFFINE = ("weight", "bias")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Anatomy:
    """What the keys of a file tell.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        patch: Rows and columns of a patch.
        hidden: Width of the feed-forward part.
        patches: Number of patches N.
        experts: Number of experts of a block; 0 for plain ViTPose, and where one is merged already.
        strays: Number of experts that stay in a file after one was merged.
    """

    width: int
    depth: int
    patch: tuple[int, int]
    hidden: int
    patches: int
    experts: int
    strays: int


def anatomy(source: Source, names: Names) -> Anatomy:
    """Read the sizes of a file off its shapes.

    Raises:
        CheckpointError: a key that tells them is not there.
    """
    width, _, rows, columns = source.shape(f"{names.patches}.weight")
    block = re.compile(re.escape(names.block).replace(r"\{\}", r"(\d+)"))
    found = [int(match[1]) for key in source.tensors if (match := block.match(key))]
    first, fc1, fc2 = names.block.format(0), names.parts["mlp.fc1"], names.parts["mlp.fc2"]
    expert = re.compile(re.escape(first + names.experts) + r"(\d+)\.weight")
    experts = len([key for key in source.tensors if expert.fullmatch(key)])
    is_merged = source.shape(f"{first}{fc2}.weight")[0] == width
    return Anatomy(
        width=width,
        depth=max(found, default=-1) + 1,
        patch=(rows, columns),
        hidden=source.shape(f"{first}{fc1}.weight")[0],
        patches=source.shape(names.positions)[1] - 1,
        experts=0 if is_merged else experts,
        strays=experts if is_merged else 0,
    )


def backbone_recipes(
    source: Source, names: Names, body: Anatomy, expert: int, has_bias: bool
) -> Iterator[tuple[str, Recipe]]:
    """Yield a recipe for every weight of the backbone."""
    own = "backbone.vit."
    yield f"{own}pos_embed", folded_positions(names.positions)
    for part in AFFINE:
        yield f"{own}patch_embed.proj.{part}", copied(f"{names.patches}.{part}")
        yield f"{own}norm.{part}", copied(f"{names.norm}.{part}")
    for i in range(body.depth):
        block, theirs = f"{own}blocks.{i}.", names.block.format(i)
        for part in AFFINE:
            for name, key in names.parts.items():
                yield f"{block}{name}.{part}", copied(f"{theirs}{key}.{part}")
            if part == "weight" or has_bias:
                yield f"{block}attn.qkv.{part}", stacked(*(f"{theirs}{key}.{part}" for key in names.qkv))
            if body.experts:
                shared, chosen = f"{theirs}{names.parts['mlp.fc2']}", f"{theirs}{names.experts}{expert}"
                rows = source.shape(f"{chosen}.weight")[0]
                yield f"{block}mlp.fc2.{part}", split_rows(f"{shared}.{part}", f"{chosen}.{part}", rows)


def head_recipes(layers: Mapping[str, str], head: str) -> Iterator[tuple[str, Recipe]]:
    """Yield a recipe for every weight and statistic of a decoder."""
    for name, theirs in layers.items():
        own = f"tasks.pose.head.{name}."
        parts: tuple[str, ...] = AFFINE
        if name in ("deconv_layers.0", "deconv_layers.3"):
            parts = ("weight",)
        elif name in ("deconv_layers.1", "deconv_layers.4"):
            parts = (*AFFINE, *STATISTICS)
        yield from ((own + part, copied(f"{head}{theirs}.{part}")) for part in parts)


def folded_positions(key: str) -> Recipe:
    """The row of the class token, which ViTPose adds to every patch, added to the others."""
    return Recipe(
        (key,),
        lambda own: [(own[0], own[1] + 1, own[2])],
        lambda parts: parts[0][:, 1:] + parts[0][:, :1],
    )


def split_rows(first: str, second: str, rows: int) -> Recipe:
    """Rows of two tensors, the second of which has ``rows``."""
    return Recipe(
        (first, second),
        lambda own: [(own[0] - rows, *own[1:]), (rows, *own[1:])],
        lambda parts: torch.cat([*parts]),
    )
