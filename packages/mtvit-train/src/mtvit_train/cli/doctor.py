"""``mtvit-train doctor --data DIR``: check a data set before training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtvit_core.cli.errors import is_verbose
from mtvit_core.errors import MtvitError

if TYPE_CHECKING:
    from rich.console import Console

    from mtvit_train.config.run import RunConfig
    from mtvit_train.doctor.examination import Report

#: Exit code by verdict; 2 is kept for commands that cannot do their work, here as everywhere.
EXIT_CODES = {"sound": 0, "doubts": 1, "faults": 3}
#: Exit code of a crash, which is a fault of this program.
CRASHED = 4


@click.command("doctor")
@click.option(
    "--data", type=click.Path(), help="A data folder, or a data.yaml. [default: the data of --config]"
)
@click.option("--config", help="A TOML file that says how to read the data: reader, [coco], [[data]].")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every finding.")
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True, help="Reader threads.")
@click.pass_context
def doctor(
    ctx: click.Context,
    data: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
    workers: int,
) -> None:
    """Check a dataset before training, without changing it.

    Lists every fault of the annotation files and images, what is labelled for each installed task, how the
    objects are spread over the categories, and images that are in both splits. Where training would run,
    ends with a command to start with. Exit codes: 0 no findings, 1 only doubts, 3 faults, 2 the command could
    not run, 4 it crashed.
    """
    import json

    from rich.console import Console

    from mtvit_train.config.run import read_run

    run = read_run(config, {"data": data}, assignments)
    try:
        reports = _examine(run, workers)
        if as_json:
            found = {name: report.to_json() for name, report in reports.items()}
            click.echo(json.dumps(found if len(found) > 1 else next(iter(found.values())), indent=2))
        else:
            _tell(run, reports, assignments, Console())
    except MtvitError:
        raise
    except Exception as error:  # whatever the data are, no traceback is their owner's business
        if is_verbose(ctx):
            raise
        click.echo(
            f"error: doctor crashed ({type(error).__name__}: {' '.join(str(error).split())}); this is a "
            "fault of mtvit, not of the data. mtvit-train -v doctor ... shows where; please report it.",
            err=True,
        )
        ctx.exit(CRASHED)
    ctx.exit(max(EXIT_CODES[report.verdict] for report in reports.values()))


def _examine(run: "RunConfig", workers: int) -> "dict[str, Report]":
    from functools import partial

    from rich.console import Console
    from rich.progress import Progress

    from mtvit_train.build.tasks import notes_of_crowding
    from mtvit_train.doctor.data_sets import patients
    from mtvit_train.doctor.examination import examine

    reports: dict[str, Report] = {}
    with Progress(
        console=Console(stderr=True), transient=True, disable=not Console().is_terminal
    ) as progress:
        bar = progress.add_task("images", total=None)
        for name, readable in patients(run).items():
            reports[name] = examine(
                readable.read,
                readable.splits,
                workers,
                lambda: progress.advance(bar),
                partial(notes_of_crowding, run),
            )
    return reports


def _tell(
    run: "RunConfig", reports: "Mapping[str, Report]", given: tuple[str, ...], console: "Console"
) -> None:
    """Print the reports, and a command to start with where training would run."""
    from mtvit_train.doctor.printing import show
    from mtvit_train.runs.start_command import show_start, start_command

    for name, report in reports.items():
        if len(reports) > 1:
            console.print(f"Data set {name}", style="bold")
        show(report, console)
    sound = all(report.verdict != "faults" for report in reports.values())
    if sound and not isinstance(run.data, tuple):
        start = start_command(run, Path(run.data), given)
        if start is not None:
            show_start(start, console)
