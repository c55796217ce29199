"""``mtvit convert``: a published checkpoint becomes one file of ours."""

from pathlib import Path

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import CheckpointError, ConfigError


@click.command("convert", short_help="Turn a published checkpoint into a model.safetensors.")
@click.argument("source")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--base", help="Base weights, where SOURCE holds differences to them.")
@click.option("--dataset", help="Of a model with experts for several data sets, the one to take.")
@click.option("--image-size", nargs=2, type=click.IntRange(min=1), help="Rows and columns of the canvas.")
@verbose_option
def convert_command(
    source: str, out: Path, base: str | None, dataset: str | None, image_size: tuple[int, int] | None
) -> None:
    """Convert SOURCE: a hub id, a folder with config.json and safetensors, or an official file.

    `mtvit models` lists what is known. Every key must fit; nothing in a file is executed.
    """
    if out.exists():
        raise ConfigError(f"out {out}: exists already; give another file with --out.")
    if not out.parent.is_dir():
        raise CheckpointError(f"out {out}: there is no folder {out.parent}; make it first.")
    from mtvit_core.model.checkpoint import save
    from mtvit_core.model.convert import convert

    model = convert(source, base, dataset, image_size)
    save(model, out, extra={"converted_from": source})
    parameters = sum(value.numel() for value in model.parameters()) / 1e6
    names = ", ".join(task.name for task in model.task_list)
    click.echo(f"{out}: {parameters:.1f} million parameters; tasks: {names}.")
