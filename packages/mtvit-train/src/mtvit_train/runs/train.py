"""Training from Python: what ``mtvit-train`` does, with its results in hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from mtvit_core.errors import ConfigError
from mtvit_core.model.checkpoint import load
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.runs.folder import read_settings
from mtvit_train.runs.run import run
from mtvit_train.state import run_files


@dataclass(frozen=True)
class Trained:
    """What a run gives.

    Attributes:
        model: The model that the run kept, on the CPU, in evaluation mode.
        metrics: Its metrics on the validation data, by ``task/metric``; NaN where nothing was labelled.
        folder: The run folder, with records, pictures and ``report.html``.
        settings: All settings of the run, those that follow from the data filled in.
    """

    model: MultiTaskViT
    metrics: dict[str, float]
    folder: Path
    settings: RunConfig


def train(
    data: str | Path | None = None,
    plugins: Sequence[str] | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Trained:
    """Train one model for several tasks, as the command does.

    Progress is shown where the call is made, in a terminal or a notebook. Ctrl-C saves the state of the run;
    ``mtvit-train --out FOLDER --resume`` goes on from there.

    Args:
        data: A folder of images and annotations, or ``"scenes"`` for generated ones.
        plugins: Tasks to train, such as ``["det", "pose"]``; every installed one by default.
        steps: Updates of the weights.
        out: Run folder; must be empty or new.
        config: A TOML file, or the name of a recipe, such as ``"small"``.
        quiet: Show nothing.
        settings: Tables of settings by name, over those of ``config``: ``train={"lr": 1e-3}``.

    Raises:
        ConfigError: a setting is unknown or does not fit, or the run folder holds something.
        DataError: a file is missing or malformed.
        Stopped: the run was interrupted; its state is saved, and the text says how to go on.
    """
    if isinstance(plugins, str):
        raise ConfigError(f"plugins is {plugins!r}; give a list of tasks, as {plugins.split(',')}.")
    overrides = {
        "plugins": None if plugins is None else tuple(plugins),
        "data": None if data is None else str(data),
        "out": None if out is None else str(out),
        "steps": steps,
    }
    found = read_run(None if config is None else str(config), overrides, (), over=settings)
    metrics = run(found, Console(quiet=quiet))
    folder = Path(found.out)
    return Trained(load(folder / run_files.MODEL), metrics, folder, read_settings(folder, RunConfig))
