"""``mtvit profile``: what the backbone costs, and what each task adds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError

if TYPE_CHECKING:
    from mtvit_core.deploy.report.price import Build, Price


@click.command("profile", short_help="Show what the backbone costs, and what each task adds.")
@click.argument("model")
@click.option("--tasks", help="Tasks, comma-separated.  [default: all of the model]")
@click.option(
    "--size", nargs=2, default=(640, 640), show_default=True, type=int, help="Canvas of a new model."
)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    type=click.Choice(["onnx", "openvino"]),
    help="Also export every model and time it there, which takes minutes; may be repeated.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--passes", default=10, show_default=True, type=click.IntRange(min=1), help="Passes to time.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for the figures.")
@verbose_option
def profile_command(
    model: str,
    tasks: str | None,
    size: tuple[int, int],
    runtimes: tuple[str, ...],
    device: str,
    passes: int,
    out: Path | None,
) -> None:
    """Time MODEL, a file or the name of a backbone: alone, with each task, and with all of them.

    A backbone by its name, with --tasks, is built with random weights: tasks can be priced before training.
    """
    if out is not None and out.exists():
        raise ConfigError(f"out {out}: already exists; give another file with --out.")
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from mtvit_core.deploy.report.price import prices
    from mtvit_core.device import pick_device
    from mtvit_core.files import write_text
    from mtvit_core.model.sharing.shares import told_sharing

    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    build, names = _source(model, names, size)
    with TemporaryDirectory() as folder:
        targets = tuple(runtimes)
        found = prices(build, names, pick_device(device), passes, targets, Path(folder))  # type: ignore[arg-type]  # click has checked them
    _print(found)
    for line in told_sharing(build(names)):
        click.echo(line)
    if out is not None:
        write_text(out, json.dumps([asdict(price) for price in found], indent=1) + "\n")


def _source(model: str, names: list[str] | None, size: tuple[int, int]) -> "tuple[Build, list[str]]":
    from mtvit_core.model.build import build
    from mtvit_core.model.checkpoint import load
    from mtvit_core.model.multitask_vit import MultiTaskViT

    if Path(model).exists():
        whole = load(model, names)
        return (lambda chosen: load(model, chosen)), [task.name for task in whole.task_list]
    if not names:
        raise ConfigError(
            f"profile {model}: no such file; to price tasks on a backbone of this name, give --tasks."
        )

    def fresh(chosen: list[str]) -> MultiTaskViT:
        return build(model, chosen, canvas=size)

    return fresh, names


def _print(found: "Sequence[Price]") -> None:
    from rich.console import Console
    from rich.table import Table

    from mtvit_core.deploy.report.price import TRUNK

    runtimes = list(found[-1].ms)
    heads = (
        "what",
        "passes",
        "parameters (M)",
        "GFLOP",
        "memory (MB)",
        *(f"{name} p50 (ms)" for name in runtimes),
    )
    table = Table(*heads, "times the backbone", title="Price of one image", title_justify="left")
    base = found[0].ms["torch"].p50
    for price in found:
        times = (f"{price.ms[name].p50:.1f}" if name in price.ms else "" for name in runtimes)
        memory = price.weights_mb if price.peak_mb is None else price.peak_mb
        what = " + ".join(price.tasks) or TRUNK
        row = (
            what,
            str(price.passes),
            f"{price.parameters / 1e6:.2f}",
            f"{price.gflops:.2f}",
            f"{memory:.0f}",
            *times,
        )
        table.add_row(*row, f"{price.ms['torch'].p50 / base:.2f}")
    Console().print(table)
