"""EoMT as its authors and as transformers publish it (Kerssies et al. 2025), on DINOv2 and DINOv3.

Masked attention is a matter of training: whatever probabilities a source holds, predictions never mask, as in
the authors' code; transformers masks wherever the probability is above zero.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.published.format import BASE, Blueprint, Choice, Choices, KnownModel, PublishedFormat
from mtvit_core.published.names import ordered_categories
from mtvit_core.published.recipe import Recipe, copied, layer
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories
from mtvit_seg.published.catalogue import EOMT_DINOV3_MODELS, EOMT_MODELS
from mtvit_seg.published.coco_panoptic import COCO_PANOPTIC, COCO_STUFF
from mtvit_seg.published.eomt_backbones import (
    PATCH,
    Backbone,
    dinov2_official,
    dinov2_transformers,
    dinov3_official,
    dinov3_transformers,
)

Grid = tuple[int, int]
#: What EoMT's authors may put before their keys: Lightning's module, and compiled ones.
PREFIXES = ("network.", "network._orig_mod.", "")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Settings of models for COCO's panoptic categories.
_PANOPTIC = {"stuff": COCO_STUFF, "results": ("instances", "panoptic")}
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
        settings = {
            "variant": "eomt",
            "queries": source.shape(head["tasks.seg.tokens.seg.weight"].keys[0])[0],
            "blocks": source.shape(head["tasks.seg.head.attn_mask_probs"].keys[0])[0],
            **(_PANOPTIC if categories == COCO_PANOPTIC else {}),
            **loss_settings(source.config),
        }
        return Blueprint(
            backbone=backbone.name,
            canvas=canvas,
            tasks={"seg": settings},
            categories=categories,
            recipes=backbone.recipes | head,
            ignored=self.ignored(source, choices),
            options=backbone.options,
        )


class TransformersEomt(Eomt):
    """A folder as ``save_pretrained`` of transformers writes it, on DINOv2."""

    name = "EoMT (transformers)"
    models: ClassVar[tuple[KnownModel, ...]] = EOMT_MODELS
    kind: ClassVar[str] = "eomt"

    def fits(self, source: Source) -> bool:
        """Tell by the settings."""
        return source.kind == self.kind

    def grid(self, source: Source) -> Grid:
        """Read ``config.json``."""
        source.require("patch_size", PATCH)
        source.require("num_upscale_blocks", 2)
        side = source.setting("image_size")
        rows, columns = side if isinstance(side, list) else (side, side)
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

    def backbone(self, source: Source, choices: Choices, old: Grid, new: Grid) -> Backbone:
        """A DINOv3; rotary positions are computed for any grid."""
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

    def ignored(self, source: Source, choices: Choices) -> frozenset[str]:
        """Class weights of the loss; mean and deviation of pixels, which must be ours.

        Raises:
            CheckpointError: they are others.
        """
        pixels = {"pixel_mean": MEAN, "pixel_std": STD}
        keys = {f"{self.prefix(source)}encoder.{name}": values for name, values in pixels.items()}
        for key, values in keys.items():
            found = source.tensors[key].read().flatten() if source.has(key) else torch.tensor(values)
            if not torch.allclose(found, torch.tensor(values), atol=1e-4):
                raise CheckpointError(
                    f"source {source.where}: its {key} is {found.tolist()}; only ImageNet's, {list(values)}, "
                    "is known here."
                )
        return super().ignored(source, choices) | frozenset(keys)


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
        """A DINOv3.

        Raises:
            ConfigError: the base weights are not given.
        """
        if choices.base is None:
            raise ConfigError(
                f"source {source.where}: it holds differences to the weights of DINOv3; give these with base "
                "(--base), as a folder or a hub id of transformers' DINOv3."
            )
        return dinov3_official(source, f"{self.prefix(source)}encoder.backbone.", choices.base)

    def ignored(self, source: Source, choices: Choices) -> frozenset[str]:
        """As for DINOv2; and the token of masked pre-training."""
        mask = {
            f"{self.prefix(source)}encoder.backbone.patch_embed.mask_token",
            f"{BASE}embeddings.mask_token",
        }
        return super().ignored(source, choices) | mask


def _layers(own: str, theirs: str) -> dict[str, Recipe]:
    """A layer of the head, in each of the two upscaling blocks where it is in them."""
    bias = not own.endswith("conv2")
    pairs = [(own.format(i), theirs.format(i)) for i in (0, 1)] if "{}" in own else [(own, theirs)]
    found: dict[str, Recipe] = {}
    for a, b in pairs:
        found |= layer(f"tasks.seg.head.{a}", b, bias=bias)
    return found


def categories_of(source: Source, columns: int) -> Categories:
    """COCO's instance or panoptic categories where number and names say so; else the names given."""
    return ordered_categories(columns, source.config.get("id2label", {}), (COCO_CATEGORIES, COCO_PANOPTIC))


def loss_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` says of cost and loss, in our words; its weights hold for both."""
    words = {
        "no_object_weight": ("no_object",),
        "class_weight": ("cost_class", "loss_class"),
        "mask_weight": ("cost_mask", "loss_mask"),
        "dice_weight": ("cost_dice", "loss_dice"),
        "train_num_points": ("points",),
        "oversample_ratio": ("oversample",),
        "importance_sample_ratio": ("importance",),
    }
    return {own: config[theirs] for theirs, ours in words.items() if theirs in config for own in ours}
