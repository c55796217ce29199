"""``mtvit-train report DIR``: make ``report.html`` of a run anew."""

from pathlib import Path

import click


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Rebuild report.html from the records of the run in FOLDER, which may still be training."""
    from mtvit_train.report.page import write_report

    click.echo(f"{write_report(folder)}: one page, all inside; open it in a browser.")
