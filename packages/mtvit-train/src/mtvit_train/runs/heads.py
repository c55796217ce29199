"""What a pre-training is worth to heads: the same ones, trained alike from the weights before and after."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from mtvit_core.evaluation.details import Cell, Details, Table
from mtvit_train.build.tasks import check_tasks
from mtvit_train.config.pretraining import PretrainConfig
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.runs.early_stopping import main_metrics
from mtvit_train.runs.run import run
from mtvit_train.state import run_files

Metrics = Mapping[str, float]
_WEIGHTS = ("before", "after")


def head_settings(config: PretrainConfig, weights: str) -> RunConfig:
    """Return the settings of one of the two runs; they differ in where the backbone starts.

    Args:
        config: Settings of the pre-training.
        weights: ``before`` or ``after`` it.

    Raises:
        ConfigError: ``probe.config`` is missing or malformed, or a setting does not fit.
        PluginError: a task of ``probe.heads`` is not installed.
    """
    probe, out = config.probe, Path(config.out)
    start = config.model.pretrained if weights == "before" else str(out / run_files.BACKBONE)
    overrides = {
        "data": probe.data,
        "plugins": probe.heads,
        "out": str(out / run_files.HEADS / weights),
        "steps": probe.steps,
    }
    alike = {name: getattr(config.train, name) for name in ("seed", "device", "threads", "precision")}
    shape = {name: getattr(config.model, name) for name in ("backbone", "options", "image_size", "patches")}
    over = {"model": {**shape, "pretrained": start}, "train": alike}
    settings = read_run(probe.config or None, overrides, (), over=over)
    check_tasks(settings)
    return settings


def begun_heads(config: PretrainConfig) -> frozenset[str]:
    """Return which of the two runs there is a folder of, as the first process sees it."""
    heads = Path(config.out) / run_files.HEADS
    return frozenset(weights for weights in _WEIGHTS if (heads / weights / run_files.SETTINGS).is_file())


def train_heads(config: PretrainConfig, begun: Container[str], console: Console) -> dict[str, Metrics]:
    """Train the heads from both weights; return the metrics of each.

    Args:
        config: Settings of the pre-training.
        begun: Runs to go on with, the same in all processes.
        console: Where progress goes.

    Raises:
        Stopped: a signal asked to stop; ``--resume`` goes on.
    """
    found: dict[str, Metrics] = {}
    for weights in _WEIGHTS:
        console.print(f"heads {weights} the pre-training:", highlight=False)
        found[weights] = run(head_settings(config, weights), console, resume=weights in begun)
    return found


def details_of(found: Mapping[str, Metrics], config: PretrainConfig) -> Details:
    """Return one table: a column for the main metric of each task, and its AP50; a row for each start."""
    names = columns(list(found.values()))
    rows: list[tuple[Cell, ...]] = [
        (weights, *(metrics.get(name) for name in names)) for weights, metrics in found.items()
    ]
    before, after = found["before"], found["after"]
    rows.append(("gain", *(after[name] - before[name] for name in names)))
    probe = config.probe
    note = (
        f"{', '.join(probe.heads)} on {probe.data}: the same {probe.steps} updates, settings and seed, from "
        "the weights before the pre-training and after it."
    )
    return Details(tables=(Table("Heads before and after", ("weights", *names), tuple(rows), note),))


def columns(found: Sequence[Metrics]) -> list[str]:
    """Return the metrics that both runs tell: the main one of each task, and AP50."""
    mains = [f"{task}/{name}" for task, (name, _) in main_metrics(found[0]).items()]
    names = [name for main in mains for name in (main, f"{main.partition('/')[0]}/AP50")]
    return [name for name in dict.fromkeys(names) if all(name in metrics for metrics in found)]
