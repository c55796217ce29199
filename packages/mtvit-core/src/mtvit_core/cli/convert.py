"""``mtvit convert``: a published checkpoint becomes one file of ours."""

from pathlib import Path

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import CheckpointError, ConfigError


@click.command("convert", short_help="Convert a published checkpoint to a model.safetensors.")
@click.argument("source")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--base", help="Base weights, if SOURCE contains differences to them.")
@click.option("--dataset", help="Which dataset's expert to use, if SOURCE has several.")
@click.option("--image-size", nargs=2, type=click.IntRange(min=1), help="Rows and columns of the canvas.")
@verbose_option
def convert_command(
    source: str, out: Path, base: str | None, dataset: str | None, image_size: tuple[int, int] | None
) -> None:
    """Convert SOURCE: a hub id, a folder with config.json and safetensors, or an official file.

    `mtvit models` lists what is known. Every key must match, and no code in a file is executed.
    """
    if out.exists():
        raise ConfigError(f"out {out}: already exists; give another file with --out.")
    if not out.parent.is_dir():
        raise CheckpointError(f"out {out}: no such folder {out.parent}; create it first.")
    from mtvit_core.model.checkpoint import save
    from mtvit_core.model.convert import read_published

    model, found = read_published(source, base, dataset, image_size)
    save(model, out, extra={"converted_from": source})
    parameters = sum(value.numel() for value in model.parameters()) / 1e6
    names = ", ".join(task.name for task in model.task_list)
    if found.prefix:
        click.echo(f"{source}: all keys begin with {found.prefix!r}, which was taken off.")
    click.echo(f"{out}: {parameters:.1f} million parameters; tasks: {names}.")
