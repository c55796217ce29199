"""``mtvit-train doctor --data DIR``: check a data set before training."""

from pathlib import Path

import click

#: Exit code by verdict; 2 is kept for commands that cannot do their work, here as everywhere.
EXIT_CODES = {"sound": 0, "doubts": 1, "faults": 3}


@click.command("doctor")
@click.option("--data", type=click.Path(), help="A folder in COCO's layout. [default: that of --config]")
@click.option("--config", help="A TOML file that says how to read the data: reader, [coco].")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every finding.")
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Reading threads.")
@click.pass_context
def doctor(
    ctx: click.Context,
    data: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
    workers: int,
) -> None:
    """Check a data set before training; nothing is repaired.

    Lists every fault of the annotation files and images, what is labelled for each installed task, how the
    objects are spread over the categories, and images that stand in both splits. Exit codes: 0 nothing found,
    1 doubts only, 3 faults, 2 the command could not do its work.
    """
    import json

    from rich.console import Console
    from rich.progress import Progress

    from mtvit_core.errors import ConfigError
    from mtvit_train.assemble import read_split
    from mtvit_train.config import read_run
    from mtvit_train.data.faults import Faults
    from mtvit_train.data.packed import PackedAnnotations
    from mtvit_train.doctor.examine import Split, examine
    from mtvit_train.doctor.show import show

    run = read_run(config, {"data": data}, assignments)
    if run.data == "scenes":
        raise ConfigError(
            "doctor: scenes are generated, so there is nothing to check; give a folder by --data."
        )
    if not Path(run.data).is_dir():
        raise ConfigError(f"doctor: {run.data}: no such data folder; check the path.")

    def read(split: Split, faults: Faults) -> PackedAnnotations:
        return read_split(run, Path(run.data), split, faults)

    splits: tuple[Split, ...] = ("train",) if run.coco.train == run.coco.val else ("train", "val")
    with Progress(
        console=Console(stderr=True), transient=True, disable=not Console().is_terminal
    ) as progress:
        bar = progress.add_task("images", total=None)
        report = examine(read, splits, workers, lambda: progress.advance(bar))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(report, Console())
    ctx.exit(EXIT_CODES[report.verdict])
