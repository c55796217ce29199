"""``mtvit-train report DIR``: make ``report.html`` of a run or of a search anew."""

from pathlib import Path

import click


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Rebuild report.html from the records of the run or search in FOLDER, which may still be going on."""
    from mtvit_train.report.page import write_report
    from mtvit_train.search.page import write_search_report
    from mtvit_train.state import run_files

    searched = (folder / run_files.SEARCH).is_file()
    page = write_search_report(folder) if searched else write_report(folder)
    click.echo(f"{page}: one page, all inside; open it in a browser.")
