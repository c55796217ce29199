"""Weights of a two-branch ViT: from a file of ours or in timm's keys, or as timm publishes them."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import timm
from timm.models import load_state_dict
from torch import Tensor

from mtvit_core.backbones.crossvit.backbone import CrossBackbone
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.state_dicts import differences

#: Ours by timm's, with d for the branch in timm's order, p for its place in ours.
_NAMES = (
    (r"patch_embed\.(?P<d>\d)\.proj\.", "embeddings.{p}.stem."),
    (r"cls_token[_.](?P<d>\d)$", "embeddings.{p}.class_token"),
    (r"pos_embed[_.](?P<d>\d)$", "embeddings.{p}.positions"),
    (r"norm\.(?P<d>\d)\.", "norms.{p}."),
    (r"blocks\.(?P<k>\d+)\.projs\.(?P<d>\d)\.", "stages.{last}.exchange.project.{p}."),
    (r"blocks\.(?P<k>\d+)\.fusion\.(?P<d>\d)\.", "stages.{last}.exchange.fuse.{p}."),
    (r"blocks\.(?P<k>\d+)\.revert_projs\.(?P<d>\d)\.", "stages.{last}.exchange.revert.{p}."),
)
_BLOCK = re.compile(r"blocks\.(?P<k>\d+)\.blocks\.(?P<d>\d)\.(?P<j>\d+)\.(?P<rest>.+)")
#: The classifiers, which are no part of a backbone.
_HEAD = "head."


def load_pretrained(backbone: CrossBackbone, source: bool | str | Path) -> None:
    """Copy weights into a backbone; tables of positions are resized to its grids.

    Args:
        backbone: The backbone.
        source: A local file of ``Backbone.weights`` or of weights in timm's keys; True for timm's own.

    Raises:
        ConfigError: the file does not exist, or timm's weights do not exist or cannot be had.
        CheckpointError: the file cannot be read, or does not hold the weights of this model.
    """
    where = f"backbone {backbone.name!r}: "
    if source is True:
        found = _published(backbone.name)
    else:
        where += f"the weights of {source}"
        found = _read(Path(str(source)), where)
    weights = in_own_keys(found, backbone)
    problems = differences(backbone.state_dict(), weights)
    if problems:
        raise CheckpointError(f"{where} do not fit the model: {problems}.")
    backbone.load_state_dict(weights)


def in_own_keys(found: Mapping[str, Tensor], backbone: CrossBackbone) -> dict[str, Tensor]:
    """Return weights under our keys, without classifiers; positions are those of the backbone's grids."""
    weights = {_own_key(key, backbone): value for key, value in found.items() if not key.startswith(_HEAD)}
    for i in (0, 1):
        embedding, key = backbone.branch(i), f"embeddings.{i}.positions"
        if key in weights and weights[key].shape[1] != embedding.positions.shape[1]:
            side = math.isqrt(weights[key].shape[1] - 1)
            if side * side == weights[key].shape[1] - 1:
                weights[key] = resize_tables(weights[key], (side, side), embedding.grid, 1, antialias=True)
    return weights


def _own_key(key: str, backbone: CrossBackbone) -> str:
    order, depths = backbone.own.order, backbone.own.depths
    per_stage = depths[order[0]]
    block = _BLOCK.fullmatch(key)
    if block:
        first, j = int(block["k"]) * per_stage, int(block["j"])
        if int(block["d"]) == order[0]:
            return f"stages.{first + j}.own.{block['rest']}"
        return f"stages.{first + per_stage - 1}.others.{j}.{block['rest']}"
    for pattern, ours in _NAMES:
        match = re.match(pattern, key)
        if match:
            parts = match.groupdict()
            last = int(parts.get("k") or 0) * per_stage + per_stage - 1
            return ours.format(p=order.index(int(parts["d"])), last=last) + key[match.end() :]
    return key


def _published(name: str) -> dict[str, Tensor]:
    model = f"crossvit_{name.partition(':')[2]}"
    try:
        return dict(timm.create_model(model, pretrained=True).state_dict())
    except (OSError, RuntimeError, ValueError) as cause:
        words = " ".join(str(cause).split())
        raise ConfigError(
            f"backbone {name!r}: its published weights cannot be had: {words} Set model.pretrained to a "
            "local file, or to false."
        ) from cause


def _read(path: Path, where: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise ConfigError(f"{where}: there is no such file; check model.pretrained.")
    try:
        return dict(load_state_dict(str(path), weights_only=True))
    except Exception as cause:  # torch and safetensors raise many kinds on damaged files
        words = " ".join(str(cause).split())
        raise CheckpointError(f"{where} cannot be read: {words}") from cause
