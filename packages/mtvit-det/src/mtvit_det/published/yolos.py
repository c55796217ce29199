"""YOLOS as its authors and as transformers publish it (Fang et al. 2021).

Both hold one table of positions for class token, patches and DET tokens; the larger models hold one more for
every block but the first. Ours stand with the tokens that they belong to; the first one of the DET tokens is
part of the tokens themselves.
"""

import argparse
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from mtvit_core.backbones.interface import Option
from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Blueprint, Choices, KnownModel, PublishedFormat
from mtvit_core.published.names import named_categories
from mtvit_core.published.pixels import pixel_options
from mtvit_core.published.recipe import Recipe, copied, layer
from mtvit_core.published.sizes import count_blocks, image_size, mlp_ratio
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.structures.framing import Framing, ShortSide
from mtvit_det.published.catalogue import YOLOS_MODELS
from mtvit_det.published.yolos_settings import CONFIG, PATCH, PROCESSOR, processor_framing

#: timm's names of the backbones, by width; others take the middle one's name.
BACKBONES = {192: "deit_tiny_patch16_224", 384: "deit_small_patch16_224", 768: "deit_base_patch16_224"}
#: Heads of the published models by width, and grids of their tables by number of patches.
HEADS = {192: 3, 330: 6, 384: 6, 768: 12}
GRIDS = {50 * 83: (50, 83), 32 * 54: (32, 54), 50 * 84: (50, 84)}
#: Short and long side in pixels at which the authors evaluate; the smallest model has no tables between.
SIDES = {True: (800, 1333), False: (512, 853)}


@dataclass(frozen=True)
class Sizes:
    """What distinguishes one YOLOS from another.

    Attributes:
        width: Token width D.
        depth: Number of blocks.
        heads: Attention heads.
        hidden: Width within the feed-forward part.
        grid: Rows and columns of patches of the first table.
        tokens: DET tokens.
        columns: Class columns but that of "no object".
        eps: Epsilon of every LayerNorm.
        between: Rows and columns of patches of the tables between blocks; None without such.
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
    between: tuple[int, int] | None
    qkv_bias: bool = True

    @property
    def options(self) -> dict[str, Option]:
        """Arguments of the backbone."""
        unlike = self.between is not None and self.between != self.grid
        return {
            "patch_size": PATCH,
            "embed_dim": self.width,
            "depth": self.depth,
            "num_heads": self.heads,
            "mlp_ratio": mlp_ratio(self.hidden, self.width),
            "qkv_bias": self.qkv_bias,
            "norm_eps": self.eps,
            "positions_between": self.between is not None,
            "positions_antialias": False,
            **({"between_grid": list(self.between)} if unlike and self.between else {}),
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

    @abstractmethod
    def framing(self, source: Source, sizes: Sizes) -> Framing:
        """Return how images are resized."""

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model."""
        sizes = self.sizes(source)
        settings = {
            "variant": "yolos",
            "queries": sizes.tokens,
            "token_positions": sizes.between is not None,
            "id_columns": sizes.columns,
        }
        return Blueprint(
            backbone=BACKBONES.get(sizes.width, BACKBONES[384]),
            canvas=(sizes.grid[0] * PATCH, sizes.grid[1] * PATCH),
            tasks={"det": settings},
            categories=self.categories(source, sizes),
            recipes=self.recipes(source, sizes),
            options=sizes.options | pixel_options(source),
            framing=self.framing(source, sizes),
        )


class OfficialYolos(Yolos):
    """The authors' file of ``torch.save``, whose keys are timm's."""

    name = "YOLOS (official file)"
    pickles = (argparse.Namespace,)

    def fits(self, source: Source) -> bool:
        """Tell by the DET tokens."""
        return source.has("backbone.det_token", "class_embed.layers.0.weight")

    def sizes(self, source: Source) -> Sizes:
        """Read them from shapes and arguments; heads are those of the published model of this width.

        Raises:
            CheckpointError: no published model has this width, or the grid of a table cannot be told.
        """
        width = source.shape("backbone.cls_token")[-1]
        tokens = source.shape("backbone.det_token")[1]
        between = "backbone.mid_pos_embed"
        if width not in HEADS:
            raise CheckpointError(
                f"source {source.where}: tokens of width {width} are those of no published YOLOS (widths "
                f"{_listed(HEADS)}); convert it by way of transformers, whose config.json tells heads."
            )
        return Sizes(
            width=width,
            depth=count_blocks(source, "backbone.blocks."),
            heads=HEADS[width],
            hidden=source.shape("backbone.blocks.0.mlp.fc1.weight")[0],
            grid=_grid(source, "backbone.pos_embed", tokens, "init_pe_size"),
            tokens=tokens,
            columns=source.shape("class_embed.layers.2.bias")[0] - 1,
            eps=1e-6,
            between=_grid(source, between, tokens, "mid_pe_size") if source.has(between) else None,
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
        return named_categories(source, sizes.columns, COCO_CATEGORIES)

    def framing(self, source: Source, sizes: Sizes) -> Framing:
        """By the short side, as the authors evaluate; ``eval_size`` of the arguments where there are any."""
        short, cap = SIDES[sizes.between is not None]
        said = _argument(source, "eval_size")
        if isinstance(said, int) and said > 0:
            short, cap = said, said * 1333 // 800
        return ShortSide(short, cap, PATCH, capped="rounded")


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
        source.check(CONFIG, PROCESSOR)
        rows, columns = image_size(source, get("image_size"))
        grid = (rows // PATCH, columns // PATCH)
        return Sizes(
            width=get("hidden_size"),
            depth=get("num_hidden_layers"),
            heads=get("num_attention_heads"),
            hidden=get("intermediate_size"),
            grid=grid,
            tokens=get("num_detection_tokens"),
            columns=source.shape("class_labels_classifier.layers.2.bias")[0] - 1,
            eps=get("layer_norm_eps"),
            between=grid if get("use_mid_position_embeddings") else None,
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
        return named_categories(source, sizes.columns, COCO_CATEGORIES)

    def framing(self, source: Source, sizes: Sizes) -> Framing:
        """As ``preprocessor_config.json`` says; without that file, as the authors evaluate."""
        if source.processor:
            return processor_framing(source)
        return ShortSide(*SIDES[sizes.between is not None], PATCH)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _argument(source: Source, name: str) -> Any:
    """What the training was told by an argument; None where the file does not hold it."""
    arguments = source.beside.get("args")
    return vars(arguments).get(name) if isinstance(arguments, argparse.Namespace) else None


def _grid(source: Source, key: str, tokens: int, argument: str) -> tuple[int, int]:
    """Rows and columns of patches of a table: by the arguments, else the grid published with as many.

    Raises:
        CheckpointError: neither tells it.
    """
    patches, said = source.shape(key)[-2] - 1 - tokens, _argument(source, argument)
    if isinstance(said, list) and len(said) == 2 and all(isinstance(side, int) for side in said):
        rows, columns = said[0] // PATCH, said[1] // PATCH
        if rows * columns == patches:
            return rows, columns
    elif patches in GRIDS:
        return GRIDS[patches]
    what = f"{argument} of its arguments is {said}" if said else f"its arguments do not say {argument}"
    raise CheckpointError(
        f"source {source.where}: {key} is a table of {patches} patches, and {what}; the published ones have "
        f"{_listed(GRIDS)}. Convert it by way of transformers, whose config.json tells the grid."
    )


def tables(sizes: Sizes, tokens: str, first: str, between: str) -> dict[str, Recipe]:
    """Part the tables of positions: class token and patches to the backbone, DET tokens to theirs.

    Args:
        sizes: Those of the model.
        tokens: Key of the DET tokens, 1 T D.
        first: Key of the first table, 1 (1 + N + T) D.
        between: Key of the tables between blocks, (depth - 1) 1 (1 + N + T) D.
    """
    count, width = sizes.tokens, sizes.width
    whole = (1, 1 + math.prod(sizes.grid) + count, width)
    found = {
        "backbone.vit.pos_embed": Recipe((first,), lambda own: [whole], lambda p: p[0][:, :-count]),
        "tasks.det.tokens.det.weight": Recipe(
            (tokens, first), lambda own: [(1, count, width), whole], lambda p: p[0][0] + p[1][0, -count:]
        ),
    }
    if sizes.between is not None:
        shapes = [(sizes.depth - 1, 1, 1 + math.prod(sizes.between) + count, width)]
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
