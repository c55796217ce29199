"""``mtvit-train search``: find the candidate of a supernet that serves all tasks best within limits."""

import click


@click.command("search")
@click.argument("supernet", required=False)
@click.option("--data", help="A data folder or data.yaml, or 'scenes'. [default: scenes]")
@click.option("--config", help="A TOML file, with the table [search] and those that say how data are read.")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
@click.option("--out", help="Folder of the search; must be empty or new. [default: runs/search]")
@click.option("--resume", is_flag=True, help="Go on with the search in --out, with its settings.")
@click.pass_context
def search(
    ctx: click.Context,
    supernet: str | None,
    data: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    out: str | None,
    resume: bool,
) -> None:
    """Find the best candidate of SUPERNET, a trained model whose backbone is elastic.

    mtvit-train search runs/super/model.safetensors --data coco --set search.max_ms=40 --out runs/search
    """
    from rich.console import Console

    from mtvit_train.config.search import read_search
    from mtvit_train.distributed.stop_signals import STOPPED, Stopped
    from mtvit_train.search.run import resumed_search
    from mtvit_train.search.run import search as search_supernet

    if supernet is None and config is None and not resume:
        raise click.UsageError("Missing argument 'SUPERNET': the model.safetensors of a trained supernet.")
    overrides = {"supernet": supernet, "data": data, "out": out}
    read = resumed_search if resume else read_search
    try:
        search_supernet(read(config, overrides, assignments), Console(), resume=resume)
    except Stopped as stopped:
        click.echo(stopped)
        ctx.exit(STOPPED)
