"""Weights from a file: one of ``Backbone.weights``, or one that ViT-MVT's authors released."""

import math
from pathlib import Path

from timm.models import load_state_dict
from torch import Tensor

from mtvit_core.backbones.mvt.backbone import MvtBackbone
from mtvit_core.backbones.mvt.relative import resized, sides
from mtvit_core.backbones.mvt.released import in_own_keys, is_released
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.backbones.plain.timm_weights import stored_grid
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.state_dicts import differences

Grid = tuple[int, int]


def load_pretrained(backbone: MvtBackbone, source: str | Path) -> None:
    """Copy weights into a backbone; tables of positions are resized to its grid and window.

    Blocks that aggregate start as they are drawn where the file has none: the authors, too, put them into a
    network that was trained without.

    Args:
        backbone: The backbone.
        source: A local file.

    Raises:
        ConfigError: the file does not exist.
        CheckpointError: the file cannot be read, or does not hold the weights of this model.
    """
    path = Path(source)
    where = f"backbone {backbone.name!r}: the weights of {source}"
    if not path.is_file():
        raise ConfigError(f"{where}: there is no such file; check model.pretrained.")
    found = _read(path, where)
    if is_released(found):
        found = in_own_keys(found)
    weights = _at_own_size(found, backbone, stored_grid(path))
    own = backbone.state_dict()
    if not any(".aggregate." in key for key in weights):
        weights |= {key: value for key, value in own.items() if ".aggregate." in key}
    problems = differences(own, weights)
    if problems:
        raise CheckpointError(f"{where} do not fit the model: {problems}.")
    backbone.load_state_dict(weights)


def _read(path: Path, where: str) -> dict[str, Tensor]:
    try:
        return dict(load_state_dict(str(path), weights_only=True))
    except Exception as cause:  # torch and safetensors raise many kinds on damaged files
        words = " ".join(str(cause).split())
        raise CheckpointError(f"{where} cannot be read: {words}") from cause


def _at_own_size(found: dict[str, Tensor], backbone: MvtBackbone, grid: Grid | None) -> dict[str, Tensor]:
    """Return weights whose tables are of the backbone's size; they were of this grid, or of a square."""
    weights, own = dict(found), backbone.state_dict()
    for key, table in found.items():
        if key == "positions" and table.ndim == 3:
            old = grid or _square(table.shape[1])
            if old and math.prod(old) == table.shape[1] and (grid or table.shape != own[key].shape):
                weights[key] = resize_tables(table.float(), old, backbone.spec.grid, 0, antialias=False)
        elif key.endswith("attention.table") and key in own and table.ndim == 2:
            weights[key] = _table(table, own[key], backbone, grid)
    return weights


def _table(table: Tensor, own: Tensor, backbone: MvtBackbone, grid: Grid | None) -> Tensor:
    """A table of relative positions for the backbone's window; it was for this grid, or for a square."""
    side, window = backbone.own.window, backbone.spec.grid
    new = (side, side) if side else window
    if grid and math.prod(sides(grid)) == len(table):
        return resized(table.float(), grid, new)
    square = _square(len(table))
    if square is None or table.shape == own.shape:
        return table
    return resized(table.float(), ((square[0] + 1) // 2, (square[1] + 1) // 2), new)


def _square(count: int) -> Grid | None:
    side = math.isqrt(count)
    return (side, side) if side * side == count else None
