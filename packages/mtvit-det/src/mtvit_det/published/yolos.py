"""YOLOS as its authors and as transformers publish it (Fang et al. 2021).

Both hold one table of positions for class token, patches and DET tokens; the larger models hold one more for
every block but the first. Ours stand with the tokens that they belong to; the first one of the DET tokens is
part of the tokens themselves.
"""

import argparse
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from mtvit_core.backbones.interface import Option
from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Blueprint, Choices, KnownModel, PublishedFormat
from mtvit_core.published.names import named_categories
from mtvit_core.published.recipe import Recipe, copied, layer
from mtvit_core.published.sizes import count_blocks, mlp_ratio
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.structures.framing import ShortSide
from mtvit_det.published.catalogue import YOLOS_MODELS

#: timm's names of the backbones, by width; others take the middle one's name.
BACKBONES = {192: "deit_tiny_patch16_224", 384: "deit_small_patch16_224", 768: "deit_base_patch16_224"}
#: Heads of the published models by width, and grids of their tables by number of patches.
HEADS = {192: 3, 330: 6, 384: 6, 768: 12}
GRIDS = {50 * 83: (50, 83), 32 * 54: (32, 54), 50 * 84: (50, 84)}
#: Short and long side in pixels at which the authors evaluate; the smallest model has no tables between.
SIDES = {True: (800, 1333), False: (512, 853)}
PATCH = 16


@dataclass(frozen=True)
class Sizes:
    """What distinguishes one YOLOS from another.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        heads: Attention heads.
        hidden: Width within the feed-forward part.
        grid: Rows and columns of patches of the tables.
        tokens: DET tokens.
        columns: Class columns but that of "no object".
        eps: Epsilon of every LayerNorm.
        between: Whether there are tables between blocks.
        qkv_bias: Whether q, k and v have biases.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    grid: tuple[int, int]
    tokens: int
    columns: int
    eps: float
    between: bool
    qkv_bias: bool = True

    @property
    def options(self) -> Mapping[str, Option]:
        """Arguments of the backbone."""
        return {
            "patch_size": PATCH,
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
            "mlp_ratio": mlp_ratio(self.hidden, self.width),
            "qkv_bias": self.qkv_bias,
            "norm_eps": self.eps,
            "positions_between": self.between,
            "positions_antialias": False,
        }


class Yolos(PublishedFormat):
    """What both kinds share."""

    models: ClassVar[tuple[KnownModel, ...]] = ()

    @abstractmethod
    def sizes(self, source: Source) -> Sizes:
        """Read the sizes from settings or shapes."""

    @abstractmethod
    def recipes(self, source: Source, sizes: Sizes) -> dict[str, Recipe]:
        """Say where every weight comes from."""

    @abstractmethod
    def categories(self, source: Source, sizes: Sizes) -> Categories:
        """Return the classes, whose ids are columns."""

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model."""
        sizes = self.sizes(source)
        settings = {
            "variant": "yolos",
            "queries": sizes.tokens,
            "token_positions": sizes.between,
            "id_columns": sizes.columns,
        }
        return Blueprint(
            backbone=BACKBONES.get(sizes.width, BACKBONES[384]),
            canvas=(sizes.grid[0] * PATCH, sizes.grid[1] * PATCH),
            tasks={"det": settings},
            categories=self.categories(source, sizes),
            recipes=self.recipes(source, sizes),
            options=sizes.options,
            framing=framing(source, sizes),
        )


class OfficialYolos(Yolos):
    """The authors' file of ``torch.save``, whose keys are timm's."""

    name = "YOLOS (official file)"
    pickles = (argparse.Namespace,)

    def fits(self, source: Source) -> bool:
        """Tell by the DET tokens."""
        return source.has("backbone.det_token", "class_embed.layers.0.weight")

    def sizes(self, source: Source) -> Sizes:
        """Read them from shapes; heads and grid are those of the published model of this size.

        Raises:
            CheckpointError: no published model has this width or number of patches.
        """
        width = source.shape("backbone.cls_token")[-1]
        tokens = source.shape("backbone.det_token")[1]
        patches = source.shape("backbone.pos_embed")[1] - 1 - tokens
        if width not in HEADS or patches not in GRIDS:
            raise CheckpointError(
                f"source {source.where}: tokens of width {width} and a table of {patches} patches are those "
                f"of no published YOLOS (widths {_listed(HEADS)}; patches {_listed(GRIDS)}); "
                "convert it by way of transformers, whose config.json tells heads and grid."
            )
        return Sizes(
            width=width,
            depth=count_blocks(source, "backbone.blocks."),
            heads=HEADS[width],
            hidden=source.shape("backbone.blocks.0.mlp.fc1.weight")[0],
            grid=GRIDS[patches],
            tokens=tokens,
            columns=source.shape("class_embed.layers.2.bias")[0] - 1,
            eps=1e-6,
            between=source.has("backbone.mid_pos_embed"),
        )

    def recipes(self, source: Source, sizes: Sizes) -> dict[str, Recipe]:
        """The keys are timm's, below ``backbone``."""
        own, theirs = "backbone.vit", "backbone"
        found = {f"{own}.cls_token": copied(f"{theirs}.cls_token")}
        found |= tables(sizes, f"{theirs}.det_token", f"{theirs}.pos_embed", f"{theirs}.mid_pos_embed")
        names = ["patch_embed.proj", "norm"]
        parts = ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
        names += [f"blocks.{i}.{part}" for i in range(sizes.depth) for part in parts]
        for name in names:
            found |= layer(f"{own}.{name}", f"{theirs}.{name}")
        return found | heads("class_embed", "bbox_embed")

    def categories(self, source: Source, sizes: Sizes) -> Categories:
        """COCO's for its 91 columns; else numbers, as the file holds no names."""
        return named_categories(sizes.columns, {}, COCO_CATEGORIES)


class TransformersYolos(Yolos):
    """A folder as ``save_pretrained`` of transformers writes it."""

    name = "YOLOS (transformers)"
    models = YOLOS_MODELS

    def fits(self, source: Source) -> bool:
        """Tell by the settings."""
        return source.kind == "yolos"

    def sizes(self, source: Source) -> Sizes:
        """Read them from ``config.json``.

        Raises:
            CheckpointError: a setting is missing, or one that cannot be followed.
        """
        get = source.setting
        source.require("hidden_act", "gelu")
        source.require("patch_size", PATCH)
        rows, columns = get("image_size")
        return Sizes(
            width=get("hidden_size"),
            depth=get("num_hidden_layers"),
            heads=get("num_attention_heads"),
            hidden=get("intermediate_size"),
            grid=(rows // PATCH, columns // PATCH),
            tokens=get("num_detection_tokens"),
            columns=source.shape("class_labels_classifier.layers.2.bias")[0] - 1,
            eps=get("layer_norm_eps"),
            between=get("use_mid_position_embeddings"),
            qkv_bias=get("qkv_bias", True),
        )

    def recipes(self, source: Source, sizes: Sizes) -> dict[str, Recipe]:
        """q, k and v stand apart, and the table between blocks has two spellings."""
        own, theirs = "backbone.vit", "vit.embeddings"
        between = "vit.encoder.mid_position_embeddings"
        if not source.has(between):
            between = "vit.encoder.interpolation.mid_position_embeddings"
        found = {f"{own}.cls_token": copied(f"{theirs}.cls_token")}
        found |= tables(sizes, f"{theirs}.detection_tokens", f"{theirs}.position_embeddings", between)
        found |= layer(f"{own}.patch_embed.proj", f"{theirs}.patch_embeddings.projection")
        found |= layer(f"{own}.norm", "vit.layernorm")
        for i in range(sizes.depth):
            a, b = f"{own}.blocks.{i}", f"vit.encoder.layer.{i}"
            qkv = [f"{b}.attention.attention.{part}" for part in ("query", "key", "value")]
            found |= layer(f"{a}.attn.qkv", *qkv, bias=sizes.qkv_bias)
            found |= layer(f"{a}.attn.proj", f"{b}.attention.output.dense")
            found |= layer(f"{a}.norm1", f"{b}.layernorm_before") | layer(
                f"{a}.norm2", f"{b}.layernorm_after"
            )
            found |= layer(f"{a}.mlp.fc1", f"{b}.intermediate.dense")
            found |= layer(f"{a}.mlp.fc2", f"{b}.output.dense")
        return found | heads("class_labels_classifier", "bbox_predictor")

    def categories(self, source: Source, sizes: Sizes) -> Categories:
        """Names of ``id2label``; COCO's where they are its."""
        return named_categories(sizes.columns, source.config.get("id2label", {}), COCO_CATEGORIES)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def framing(source: Source, sizes: Sizes) -> ShortSide:
    """How images are resized: as ``preprocessor_config.json`` says, else as the authors evaluate."""
    short, cap = SIDES[sizes.between]
    said = source.processor.get("size")
    if isinstance(said, dict) and {"shortest_edge", "longest_edge"} <= said.keys():
        short, cap = said["shortest_edge"], said["longest_edge"]
    elif isinstance(said, int):  # older files
        short, cap = said, source.processor.get("max_size", 1333)
    return ShortSide(short, cap, PATCH)


def tables(sizes: Sizes, tokens: str, first: str, between: str) -> dict[str, Recipe]:
    """Part the tables of positions: class token and patches to the backbone, DET tokens to theirs.

    Args:
        sizes: Those of the model.
        tokens: Key of the DET tokens, 1 T D.
        first: Key of the first table, 1 (1 + N + T) D.
        between: Key of the tables between blocks, (depth - 1) 1 (1 + N + T) D.
    """
    count, width, patches = sizes.tokens, sizes.width, sizes.grid[0] * sizes.grid[1]
    whole, gaps = (1, 1 + patches + count, width), sizes.depth - 1
    found = {
        "backbone.vit.pos_embed": Recipe((first,), lambda own: [whole], lambda p: p[0][:, :-count]),
        "tasks.det.tokens.det.weight": Recipe(
            (tokens, first), lambda own: [(1, count, width), whole], lambda p: p[0][0] + p[1][0, -count:]
        ),
    }
    if sizes.between:
        shapes = [(gaps, *whole)]
        backbone = Recipe((between,), lambda own: shapes, lambda p: p[0][:, 0, :-count])
        own_tables = Recipe((between,), lambda own: shapes, lambda p: p[0][:, 0, -count:])
        found |= {"backbone.vit.mid_pos_embed": backbone, "tasks.det.tokens.det.tables": own_tables}
    return found


def heads(classes: str, boxes: str) -> dict[str, Recipe]:
    """The two perceptrons."""
    found: dict[str, Recipe] = {}
    for j in range(3):
        found |= layer(f"tasks.det.head.class_embed.layers.{j}", f"{classes}.layers.{j}")
        found |= layer(f"tasks.det.head.bbox_embed.layers.{j}", f"{boxes}.layers.{j}")
    return found
