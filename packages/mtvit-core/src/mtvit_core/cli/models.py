"""``mtvit models``: the published checkpoints that installed plugins can convert."""

import json
from dataclasses import asdict

import click

from mtvit_core.cli.errors import verbose_option


@click.command("models", short_help="List published checkpoints that can be converted.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@verbose_option
def models_command(as_json: bool) -> None:
    """List known published checkpoints: sizes, accuracy as their authors report it, licence, exact id."""
    from mtvit_core.plugins.registry import published_formats

    known = [model for format_ in published_formats() for model in format_.models]
    if as_json:
        click.echo(json.dumps([asdict(model) for model in known], indent=2))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads = ("name", "task", "parameters (M)", "accuracy", "reported in", "licence", "source")
    table = Table(*heads, title="Published checkpoints", title_justify="left", title_style="bold")
    for m in known:
        row = (m.name, m.task, f"{m.parameters:.1f}", m.accuracy, m.reference, m.licence, m.source)
        table.add_row(*map(Text, row))
    Console().print(table)
