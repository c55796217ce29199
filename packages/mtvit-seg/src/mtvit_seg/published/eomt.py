"""EoMT as its authors and as transformers publish it (Kerssies et al. 2025), on DINOv2 and DINOv3.

Masked attention is a matter of training: whatever probabilities a source holds, predictions never mask, as in
the authors' code; transformers masks wherever the probability is above zero.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.published.format import BASE, Blueprint, Choice, Choices, KnownModel, PublishedFormat
from mtvit_core.published.names import ordered_categories
from mtvit_core.published.pixels import MEAN, STD, pixel_options, resample_of
from mtvit_core.published.recipe import Recipe, copied, layer
from mtvit_core.published.settings import SettingRules
from mtvit_core.published.sizes import image_size
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_core.structures.framing import Letterbox
from mtvit_seg.published.ade20k import ADE20K, ADE20K_STUFF, is_ade20k
from mtvit_seg.published.catalogue import EOMT_DINOV3_MODELS, EOMT_MODELS
from mtvit_seg.published.coco_panoptic import COCO_PANOPTIC, COCO_STUFF
from mtvit_seg.published.eomt_backbones import (
    Backbone,
    dinov2_official,
    dinov2_transformers,
    dinov3_official,
    dinov3_transformers,
)
from mtvit_seg.published.eomt_settings import (
    DINOV2_CONFIG,
    DINOV3_CONFIG,
    LOSS,
    PATCH,
    PROCESSOR,
    check_rotary,
    check_size,
)

Grid = tuple[int, int]
#: What official files hold of pixels.
PIXELS = {"pixel_mean": MEAN, "pixel_std": STD}
#: What EoMT's authors may put before their keys: Lightning's module, and compiled ones.
PREFIXES = ("network.", "network._orig_mod.", "")
_PANOPTIC, _SEMANTIC = ("instances", "panoptic"), ("semantic",)
#: Queries of the authors' models of one class for every pixel; the others have 200.
SEMANTIC_QUERIES = 100
#: Names of parts of the head, ours and those of transformers.
TRANSFORMERS_HEAD = {
    "class_head": "class_predictor",
    "mask_head.0": "mask_head.fc1",
    "mask_head.2": "mask_head.fc2",
    "mask_head.4": "mask_head.fc3",
    "upscale.{}.conv1": "upscale_block.block.{}.conv1",
    "upscale.{}.conv2": "upscale_block.block.{}.conv2",
    "upscale.{}.norm": "upscale_block.block.{}.layernorm2d",
}


class Eomt(PublishedFormat):
    """What all kinds share."""

    models: ClassVar[tuple[KnownModel, ...]] = ()
    takes: ClassVar[frozenset[Choice]] = frozenset({"image_size"})

    @abstractmethod
    def grid(self, source: Source) -> Grid:
        """Rows and columns of patches that the source is made for."""

    @abstractmethod
    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """The backbone, for another grid of patches where one was chosen."""

    @abstractmethod
    def head(self, source: Source) -> dict[str, Recipe]:
        """Where the weights of queries and head come from."""

    def ignored(self, source: Source, choices: Choices) -> frozenset[str]:
        """Keys that are no part of the model: the class weights of the loss."""
        return frozenset(key for key in source.tensors if key.startswith("criterion."))

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model."""
        old = self.grid(source)
        canvas = choices.image_size or (old[0] * PATCH, old[1] * PATCH)
        backbone = self.backbone(source, choices, old, (canvas[0] // PATCH, canvas[1] // PATCH))
        head = self.head(source)
        columns = source.shape(head["tasks.seg.head.class_head.bias"].keys[0])[0] - 1
        categories = categories_of(source, columns)
        queries = source.shape(head["tasks.seg.tokens.seg.weight"].keys[0])[0]
        settings = {
            "variant": "eomt",
            "queries": queries,
            "blocks": source.shape(head["tasks.seg.head.attn_mask_probs"].keys[0])[0],
            **result_settings(source, categories, queries),
            **loss_settings(source.config),
        }
        return Blueprint(
            backbone=backbone.name,
            canvas=canvas,
            tasks={"seg": settings},
            categories=categories,
            recipes=backbone.recipes | head,
            ignored=self.ignored(source, choices),
            options=backbone.options | pixel_options(source),
            framing=Letterbox(*canvas, resample_of(source)),
        )


class TransformersEomt(Eomt):
    """A folder as ``save_pretrained`` of transformers writes it, on DINOv2."""

    name = "EoMT (transformers)"
    models: ClassVar[tuple[KnownModel, ...]] = EOMT_MODELS
    kind: ClassVar[str] = "eomt"
    rules: ClassVar[SettingRules] = DINOV2_CONFIG

    def fits(self, source: Source) -> bool:
        """Tell by the settings."""
        return source.kind == self.kind

    def grid(self, source: Source) -> Grid:
        """Read ``config.json``; the processor must make images of that size."""
        source.check(self.rules, PROCESSOR)
        rows, columns = image_size(source, source.setting("image_size"))
        check_size(source, (rows, columns))
        return rows // PATCH, columns // PATCH

    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """A DINOv2."""
        return dinov2_transformers(source, old, new)

    def head(self, source: Source) -> dict[str, Recipe]:
        """Only names differ."""
        found = {
            "tasks.seg.tokens.seg.weight": copied("query.weight"),
            "tasks.seg.head.attn_mask_probs": copied("attn_mask_probs"),
        }
        for own, theirs in TRANSFORMERS_HEAD.items():
            found |= _layers(own, theirs)
        return found


class TransformersEomtDinov3(TransformersEomt):
    """The same on DINOv3."""

    name = "EoMT on DINOv3 (transformers)"
    models: ClassVar[tuple[KnownModel, ...]] = ()
    kind: ClassVar[str] = "eomt_dinov3"
    rules: ClassVar[SettingRules] = DINOV3_CONFIG

    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """A DINOv3; rotary positions are computed for any grid."""
        check_rotary(source)
        return dinov3_transformers(source)


class OfficialEomt(Eomt):
    """The authors' file, on DINOv2: a flat dict, whose backbone has timm's keys."""

    name = "EoMT (official file)"
    mark: ClassVar[str] = "encoder.backbone.reg_token"

    def fits(self, source: Source) -> bool:
        """Tell by keys of head and backbone."""
        return any(source.has(f"{p}q.weight", f"{p}{self.mark}") for p in PREFIXES)

    def prefix(self, source: Source) -> str:
        """Prefix of the authors' keys."""
        return next(p for p in PREFIXES if source.has(f"{p}q.weight"))

    def grid(self, source: Source) -> Grid:
        """Images are square.

        Raises:
            CheckpointError: the number of positions is not a square.
        """
        patches = source.shape(f"{self.prefix(source)}encoder.backbone.pos_embed")[1]
        side = math.isqrt(patches)
        if side**2 != patches:
            raise CheckpointError(
                f"source {source.where}: its table of {patches} positions is of no square image; only those "
                "are published."
            )
        return side, side

    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """A DINOv2."""
        return dinov2_official(source, f"{self.prefix(source)}encoder.backbone.", old, new)

    def head(self, source: Source) -> dict[str, Recipe]:
        """Ours are the authors' names."""
        prefix = self.prefix(source)
        found = {
            "tasks.seg.tokens.seg.weight": copied(f"{prefix}q.weight"),
            "tasks.seg.head.attn_mask_probs": copied(f"{prefix}attn_mask_probs"),
        }
        for own in TRANSFORMERS_HEAD:
            found |= _layers(own, prefix + own)
        return found

    def pixels(self, source: Source, name: str) -> list[float] | None:
        """Mean or deviation of pixels, as the file holds it, ``pixel_mean`` or ``pixel_std``."""
        key = f"{self.prefix(source)}encoder.{name}"
        return source.tensors[key].read().flatten().tolist() if source.has(key) else None

    def ignored(self, source: Source, choices: Choices) -> frozenset[str]:
        """Class weights of the loss; mean and deviation of pixels, which must be ours.

        Raises:
            CheckpointError: they are others.
        """
        for name, values in PIXELS.items():
            found = self.pixels(source, name)
            if found is not None and not _near(found, values):
                raise CheckpointError(
                    f"source {source.where}: its {self.prefix(source)}encoder.{name} is {found}; only "
                    f"ImageNet's, {list(values)}, is known here."
                )
        return super().ignored(source, choices) | self.pixel_keys(source)

    def pixel_keys(self, source: Source) -> frozenset[str]:
        """Keys of mean and deviation of pixels."""
        return frozenset(f"{self.prefix(source)}encoder.{name}" for name in PIXELS)


class OfficialEomtDinov3(OfficialEomt):
    """The authors' file on DINOv3: of the backbone it holds differences to Meta's weights."""

    name = "EoMT on DINOv3 (official file)"
    models = EOMT_DINOV3_MODELS
    takes: ClassVar[frozenset[Choice]] = frozenset({"image_size", "base"})
    mark: ClassVar[str] = "encoder.backbone.patch_embed.register_tokens"

    def grid(self, source: Source) -> Grid:
        """Rotary positions fit any size; 640 pixels are what most were trained at."""
        return 640 // PATCH, 640 // PATCH

    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """A DINOv3; its weights are whole or differences, as mean and deviation of pixels tell.

        Raises:
            CheckpointError: they do not tell.
            ConfigError: differences come without base weights, or whole weights with some.
        """
        are_differences = self.are_differences(source)
        if are_differences and choices.base is None:
            raise ConfigError(
                f"source {source.where}: it holds differences to the weights of DINOv3; give these with base "
                "(--base), as a folder or a hub id of transformers' DINOv3."
            )
        if not are_differences and choices.base is not None:
            raise ConfigError(
                f"source {source.where}: it holds whole weights, not differences to others; leave base out."
            )
        return dinov3_official(source, f"{self.prefix(source)}encoder.backbone.", choices.base)

    def are_differences(self, source: Source) -> bool:
        """Tell whether the file holds differences: then those of mean and deviation are 0.

        Raises:
            CheckpointError: they are neither, or not there.
        """
        found = {name: self.pixels(source, name) for name in PIXELS}
        if all(value is not None and _near(value, (0.0, 0.0, 0.0)) for value in found.values()):
            return True
        if all(value is not None and _near(value, PIXELS[name]) for name, value in found.items()):
            return False
        said = " and ".join(f"{name} {value}" for name, value in found.items())
        raise CheckpointError(
            f"source {source.where}: its encoder has {said}; zeros tell that its weights are differences to "
            "those of DINOv3, ImageNet's that they are whole. Take the file as the authors wrote it."
        )

    def ignored(self, source: Source, choices: Choices) -> frozenset[str]:
        """As for DINOv2; and the token of masked pre-training."""
        mask = {
            f"{self.prefix(source)}encoder.backbone.patch_embed.mask_token",
            f"{BASE}embeddings.mask_token",
        }
        return Eomt.ignored(self, source, choices) | self.pixel_keys(source) | mask


def _near(found: list[float], values: tuple[float, ...]) -> bool:
    return len(found) == len(values) and all(abs(a - b) < 1e-4 for a, b in zip(found, values, strict=True))


def _layers(own: str, theirs: str) -> dict[str, Recipe]:
    """A layer of the head, in each of the two upscaling blocks where it is in them."""
    bias = not own.endswith("conv2")
    pairs = [(own.format(i), theirs.format(i)) for i in (0, 1)] if "{}" in own else [(own, theirs)]
    found: dict[str, Recipe] = {}
    for a, b in pairs:
        found |= layer(f"tasks.seg.head.{a}", b, bias=bias)
    return found


def categories_of(source: Source, columns: int) -> Categories:
    """COCO's instance or panoptic, or ADE20K's, where number and names say so; else the names given."""
    return ordered_categories(source, columns, (COCO_CATEGORIES, COCO_PANOPTIC, ADE20K))


def result_settings(source: Source, categories: Categories, queries: int) -> dict[str, Any]:
    """What is said of an image, and which classes are stuff, by the authors' configurations."""
    if categories == COCO_PANOPTIC:
        return {"stuff": COCO_STUFF, "results": _PANOPTIC}
    is_split = bool(source.processor.get("do_split_image"))
    if is_ade20k(categories):
        is_semantic = is_split or queries == SEMANTIC_QUERIES
        return {"stuff": ADE20K_STUFF, "results": _SEMANTIC if is_semantic else _PANOPTIC}
    return {"results": _SEMANTIC} if is_split else {}


def loss_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says of cost and loss, in our words; its weights hold for both."""
    return {own: config[theirs] for theirs, ours in LOSS.items() if theirs in config for own in ours}
