"""Weights of a timm ViT, from a local file or as timm publishes them: every one of the model's, or an error.

timm converts the formats it knows and resizes positions, but leaves at random whatever a file lacks. It takes
a table of positions for the grid that the published weights have, where the number fits, or for a square; a
file that ``mtvit-train pretrain`` writes tells its own grid.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import timm
from safetensors import SafetensorError, safe_open
from timm.models import eva, vision_transformer
from torch import Tensor

from mtvit_core.backbones.interface import GRID
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.backbones.plain.timm_blocks import PlainViT
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.state_dicts import common_prefix, differences

#: Weights of ours that no file of timm's has; where a file lacks them, they start as they are drawn.
FRESH = ("mid_pos_embed",)
#: Tables of positions.
TABLES = ("pos_embed", *FRESH)


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
        prefix, grid = common_prefix(found), None if source is None else stored_grid(Path(source))
        weights = _in_own_keys({k.removeprefix(prefix): v for k, v in found.items()}, model, grid)
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


def _in_own_keys(
    found: Mapping[str, Tensor], model: PlainViT, grid: tuple[int, int] | None
) -> dict[str, Tensor]:
    """Let timm convert the keys; positions of a known grid are resized here, others by timm."""
    tables = {key: found[key] for key in TABLES if grid is not None and key in found}
    others = {key: value for key, value in found.items() if key not in tables}
    convert = eva.checkpoint_filter_fn
    if not isinstance(model, eva.Eva):  # the argument is for DeiT III
        convert = partial(vision_transformer.checkpoint_filter_fn, adapt_layer_scale=True)
    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    own = {
        key: resize_tables(table.float(), grid, model.patch_embed.grid_size, prefix, antialias=True)
        for key, table in tables.items()
        if grid is not None
    }
    return {**convert(others, model), **own}


def stored_grid(file: Path) -> tuple[int, int] | None:
    """Return rows and columns of patches that a file says its tables are for; None where it says none."""
    if file.suffix != ".safetensors":
        return None
    with safe_open(file, framework="pt") as opened:
        sides = (opened.metadata() or {}).get(GRID, "").split()
    return (int(sides[0]), int(sides[1])) if len(sides) == 2 and all(map(str.isdigit, sides)) else None
