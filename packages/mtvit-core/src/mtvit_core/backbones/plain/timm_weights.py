"""Weights of a timm ViT, from a local file or as timm publishes them: every one of the model's, or an error.

timm converts the formats it knows and resizes positions, but leaves at random whatever a file lacks.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import timm
from safetensors import SafetensorError
from timm.models import eva, vision_transformer
from torch import Tensor

from mtvit_core.backbones.plain.timm_blocks import PlainViT
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.state_dicts import differences

#: Weights of ours that no file of timm's has; where a file lacks them, they start as they are drawn.
FRESH = ("mid_pos_embed",)


def load_pretrained(model: PlainViT, name: str, source: str | Path | None) -> None:
    """Copy weights into a model.

    Args:
        model: The model.
        name: Its name, for messages.
        source: A local file of weights in timm's keys, or in a form that timm converts; None for timm's own.

    Raises:
        ConfigError: the local file does not exist, or timm's weights do not exist or cannot be had.
        CheckpointError: the file cannot be read, or it lacks weights of the model or has others of that name.
    """
    config = dict(model.pretrained_cfg)
    where = f"backbone {name!r}: "
    if source is None:
        where += "its published weights"
    else:
        if not Path(source).is_file():
            raise ConfigError(
                f"{where}the weight file {str(source)!r} does not exist; check model.pretrained."
            )
        where += f"the weights of {source}"
        # A source of "hf-hub" would go before the file.
        config |= {"source": "", "file": str(source), "custom_load": False}

    def fit(found: Mapping[str, Tensor], model: PlainViT) -> dict[str, Tensor]:
        weights = _in_own_keys(found, model)
        own = {key: v for key, v in model.state_dict().items() if key in weights or key not in FRESH}
        problems = differences(own, {k: v for k, v in weights.items() if k in own or k.startswith("blocks.")})
        if problems:
            raise CheckpointError(f"{where} do not fit the model: {problems}.")
        return {key: weights[key] for key in own}

    try:
        timm.models.load_pretrained(model, config, num_classes=0, filter_fn=fit, strict=False)
    except (OSError, EOFError, RuntimeError, ValueError, SafetensorError) as cause:
        words = " ".join(str(cause).split())
        if source is None:
            raise ConfigError(
                f"{where} cannot be had: {words} Set model.pretrained to a local file, or to false."
            ) from cause
        raise CheckpointError(f"{where} cannot be read: {words}") from cause


def _in_own_keys(found: Mapping[str, Tensor], model: PlainViT) -> dict[str, Tensor]:
    """Let timm convert the keys and resize positions to the model's grid."""
    if isinstance(model, eva.Eva):
        return dict(eva.checkpoint_filter_fn(found, model))
    convert = partial(vision_transformer.checkpoint_filter_fn, adapt_layer_scale=True)  # as DeiT III needs it
    return dict(convert(found, model))
