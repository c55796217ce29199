"""A format of published checkpoints whose model is tiny, and whose sources have q, k and v apart."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.published.format import Blueprint, Choices, KnownModel, PublishedFormat
from mtvit_core.published.recipe import Recipe, copied, reshaped, stacked
from mtvit_core.published.source import Source
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ShortSide
from support.models.spot_task import spot_class

CATEGORIES = Categories((Category(7, "cup"),))
OPTIONS = {"depth": 1, "embed_dim": 32, "num_heads": 2}
SPOT = spot_class("spot")


class Toy(PublishedFormat):
    """Sources of ``model``, of kind ``toy`` or with a mark."""

    name = "toy"
    models = (KnownModel("Toy-S", "someone/toy", "spot", 0.1, "36.1 AP", "its paper", "MIT"),)
    pickles = (argparse.Namespace,)

    def fits(self, source: Source) -> bool:
        return source.kind == "toy" or source.has("toy.mark")

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        recipes = {key: recipe_of(key) for key in model().state_dict()}
        tasks: dict[str, Any] = {"spot": {"queries": 3}}
        return Blueprint(
            backbone="vit_tiny_patch16_224",
            canvas=(32, 64),
            tasks=tasks,
            categories=CATEGORIES,
            recipes=recipes,
            ignored=frozenset({"toy.mark"}),
            options=OPTIONS,
            framing=ShortSide(32, 64, 16),
        )


def recipe_of(key: str) -> Recipe:
    """How a tensor of the model is made of those of a source."""
    if key.startswith("backbone.vit.blocks.0.attn.qkv."):
        return stacked(*(f"{key}.{part}" for part in "qkv"))
    if key == "backbone.vit.pos_embed":
        return reshaped("positions", lambda own: own[1:])
    return copied(f"toy.{key}")


def model() -> mtvit_core.MultiTaskViT:
    """A fresh model."""
    backbone = create_backbone("vit_tiny_patch16_224", (32, 64), options=OPTIONS)
    return mtvit_core.build(backbone, {"spot": {"queries": 3}}, CATEGORIES)


def write(folder: Path, weights: dict[str, Tensor], **config: Any) -> Path:
    """A source as a folder."""
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "toy"} | config))
    return folder


def holds(found: mtvit_core.MultiTaskViT, weights: dict[str, Tensor]) -> bool:
    """Whether every tensor of a model is what its recipe makes of the source."""
    own = found.state_dict()
    made = {k: recipe_of(k).make([weights[part] for part in recipe_of(k).keys]) for k in own}
    return all(torch.equal(own[key], made[key].view(own[key].shape)) for key in own)
