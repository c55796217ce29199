"""ViTPose and ViTPose+ of their authors and of transformers (Xu et al. 2022, 2023), as a plain ViT.

positions   of patch i: pos[i + 1] + pos[0], the row of the class token, which is no token here
fc2         of ViTPose+: the shared rows above those of the expert of the chosen data set
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Blueprint, Choice, Choices, KnownModel, PublishedFormat
from mtvit_core.published.recipe import Recipe, copied, stacked
from mtvit_core.published.source import Source
from mtvit_pose.published.catalogue import OFFICIAL_VITPOSE, TRANSFORMERS_VITPOSE
from mtvit_pose.published.datasets import DATASETS, PoseDataset, dataset_named, dataset_with
from mtvit_pose.published.vitpose_keys import OFFICIAL, TRANSFORMERS, Names

#: The backbone is the ViT of MAE, from which ViTPose is trained; sizes are options.
BACKBONE = "vit_base_patch16_224.mae"
PADDING = 2
#: Attention heads by width: S, B, L, H.
HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
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


class ViTPoseFormat(PublishedFormat):
    """What the two kinds of files share.

    Attributes:
        names: Their keys.
    """

    takes: ClassVar[frozenset[Choice]] = frozenset({"dataset"})
    names: ClassVar[Names]

    @abstractmethod
    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Return rows and columns of the crops.

        Raises:
            CheckpointError: they cannot be told.
        """

    def heads(self, source: Source, body: Anatomy) -> int:
        """Return the attention heads of a block, which shapes do not tell.

        Raises:
            CheckpointError: no ViTPose of this width is known.
        """
        if body.width not in HEADS:
            raise CheckpointError(
                f"source {source.where}: no ViTPose of width {body.width} is known, so its attention heads "
                f"cannot be told; known: {', '.join(map(str, HEADS))}."
            )
        return HEADS[body.width]

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model; see the base class."""
        names, body = self.names, anatomy(source, self.names)
        dataset, head = self._head(source, choices, body)
        is_classic = f"{head}{names.classic['deconv_layers.0']}.weight" in source.tensors
        has_bias = f"{names.block.format(0)}{names.qkv[0]}.bias" in source.tensors
        canvas, expert = self.canvas(source, body), DATASETS.index(dataset)
        return Blueprint(
            backbone=BACKBONE,
            canvas=canvas,
            person_canvas=canvas,
            options={
                "patch_size": list(body.patch),
                "embed_dim": body.width,
                "depth": body.depth,
                "num_heads": self.heads(source, body),
                "mlp_ratio": body.hidden / body.width,
                "qkv_bias": has_bias,
                "class_token": False,
                "global_pool": "",
                "patch_padding": PADDING,
            },
            tasks={"pose": {"variant": "vitpose" if is_classic else "vitpose-simple", "flip_test": True}},
            categories=dataset.categories,
            recipes={
                **dict(backbone_recipes(source, names, body, expert, has_bias)),
                **dict(head_recipes(names.classic if is_classic else names.simple, head)),
            },
            ignored=frozenset(self._ignored(source, body, head, expert)),
        )

    def _head(self, source: Source, choices: Choices, body: Anatomy) -> tuple[PoseDataset, str]:
        """Find the data set to convert, and the prefix of its head."""
        names, final = self.names, f"{self.names.simple['final_layer']}.weight"
        present = [i for i, prefix in enumerate(names.heads) if prefix + final in source.tensors]
        is_single = not body.experts and present == [0]
        if choices.dataset is not None:
            dataset = dataset_named(choices.dataset, source.where)
        elif is_single:
            dataset = dataset_with(source.shape(names.heads[0] + final)[0], source.where)
        else:
            dataset = DATASETS[0]
        index = DATASETS.index(dataset)
        if not is_single and index not in present:
            held = ", ".join(DATASETS[i].name for i in present) or "none"
            raise CheckpointError(
                f"source {source.where}: it holds no head for {dataset.name}; it holds those for {held}."
            )
        prefix = names.heads[0] if is_single else names.heads[index]
        keypoints = source.shape(prefix + final)[0]
        if keypoints != dataset.keypoints:
            raise CheckpointError(
                f"source {source.where}: its head draws {keypoints} keypoints, but {dataset.name} has "
                f"{dataset.keypoints}; name the data set that it was trained on."
            )
        return dataset, prefix

    def _ignored(self, source: Source, body: Anatomy, head: str, chosen: int) -> Iterator[str]:
        """Yield the weights of other data sets."""
        other = tuple(prefix for prefix in self.names.heads if prefix != head)
        yield from (key for key in source.tensors if key.startswith(other))
        for i in range(body.depth):
            for expert in range(body.experts or body.strays):
                if body.experts and expert == chosen:
                    continue
                prefix = f"{self.names.block.format(i)}{self.names.experts}{expert}."
                yield from (prefix + part for part in AFFINE)


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


class OfficialViTPose(ViTPoseFormat):
    """Files of the authors, ViTPose+ with experts and heads of six data sets included."""

    name = "vitpose (official)"
    models: ClassVar[tuple[KnownModel, ...]] = OFFICIAL_VITPOSE
    names = OFFICIAL

    def fits(self, source: Source) -> bool:
        """Tell by two keys."""
        return source.has("backbone.patch_embed.proj.weight", "keypoint_head.final_layer.weight")

    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Take the one size of aspect 4 to 3 with so many patches; all that were published have it."""
        return portrait(body.patches, body.patch, source.where)


def portrait(patches: int, patch: tuple[int, int], where: str) -> tuple[int, int]:
    """Return rows and columns of a canvas of aspect 4 to 3 with a number of square patches.

    Raises:
        CheckpointError: there is no such canvas.
    """
    third = round((patches / 12) ** 0.5)
    if 12 * third**2 != patches:
        raise CheckpointError(
            f"source {where}: its {patches} positions are no grid of aspect 4 to 3, as 16 x 12; crops of "
            "another shape cannot be told from a file without a config.json."
        )
    return 4 * third * patch[0], 3 * third * patch[1]


class TransformersViTPose(ViTPoseFormat):
    """Folders and hub ids of transformers; they hold the head of COCO alone."""

    name = "vitpose (transformers)"
    models: ClassVar[tuple[KnownModel, ...]] = TRANSFORMERS_VITPOSE
    names = TRANSFORMERS

    def fits(self, source: Source) -> bool:
        """Tell by ``model_type``."""
        return source.kind == "vitpose"

    def heads(self, source: Source, body: Anatomy) -> int:
        """Read them from the settings, and check the others there."""
        settings = source.config.get("backbone_config") or {}
        last = f"stage{body.depth}"
        stages = settings.get("out_features") or [last]
        indices = settings.get("out_indices") or [body.depth]
        found = {
            "hidden_act": (settings.get("hidden_act", "gelu"), "gelu"),
            "scale_factor": (source.config.get("scale_factor", 4), 4),
            "out_features": (stages[-1], last),
            "out_indices": (indices[-1] % (body.depth + 1), body.depth),
        }
        for name, (value, allowed) in found.items():
            if value != allowed:
                raise CheckpointError(
                    f"source {source.where}: config.json says {name} {value!r}, but only {allowed!r} can be "
                    "converted; that is what all published ViTPose have."
                )
        return int(settings.get("num_attention_heads", 12))

    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Read it from the settings."""
        size = (source.config.get("backbone_config") or {}).get("image_size", (256, 192))
        rows, columns = (size, size) if isinstance(size, int) else size
        return int(rows), int(columns)
