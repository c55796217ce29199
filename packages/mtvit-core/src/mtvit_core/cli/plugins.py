"""``mtvit plugins``: which tasks and commands are installed, and which plugins are broken and why."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mtvit_core.cli.errors import is_verbose, verbose_option
from mtvit_core.cli.options import is_strict

if TYPE_CHECKING:
    from rich.console import Console

    from mtvit_core.plugins.origin import Origin


@click.command("plugins", short_help="List installed tasks and commands, and broken plugins.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@verbose_option
@click.pass_context
def plugins_command(ctx: click.Context, as_json: bool) -> None:
    """List installed tasks and commands, and broken plugins with cause and fix; -v adds tracebacks."""
    found = describe(is_verbose(ctx))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        from rich.console import Console

        _print_tables(Console(), found)
    if found["broken"] and is_strict(ctx):
        ctx.exit(2)


def describe(verbose: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Return all that plugins bring, and broken plugins, as plain data.

    Args:
        verbose: Whether broken plugins tell their traceback.
    """
    from mtvit_core.model.trial import broken_plugins
    from mtvit_core.plugins.registry import registry

    broken = [asdict(plugin) for plugin in broken_plugins()]
    unbuildable = {plugin["task"] for plugin in broken if plugin["phase"] == "build"}
    for plugin in broken if not verbose else ():
        del plugin["traceback"]
    tasks, commands = registry().tasks.values(), registry().commands.values()
    return {
        "tasks": [
            {
                **_origin(task),
                "name": task.name,
                "needs": sorted(task.cls.needs),
                "views": sorted(task.cls.views),
                "exportable": task.cls.exportable,
            }
            for task in tasks
            if task.name not in unbuildable
        ],
        "commands": [{**_origin(command), "name": command.name} for command in commands],
        "backbones": [{**_origin(family), "name": name} for name, family in registry().families.items()],
        "extensions": [
            {**_origin(extension), "kind": kind, "name": name}
            for kind, found_here in registry().extensions.items()
            for name, extension in found_here.items()
        ],
        "broken": broken,
    }


def _origin(plugin: "Origin") -> dict[str, Any]:
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "entry_point": plugin.entry_point,
    }


def _print_tables(console: "Console", found: dict[str, list[dict[str, Any]]]) -> None:
    if not found["tasks"]:
        console.print("No task is installed; install one, for example: pip install mtvit-det")
    tasks = [
        (
            t["name"],
            ", ".join(t["needs"]),
            ", ".join(t["views"]),
            "yes" if t["exportable"] else "no",
            *_package(t),
        )
        for t in found["tasks"]
    ]
    _print_table(console, "Tasks", ("task", "needs", "views", "exportable", "package", "entry point"), tasks)
    commands = [(c["name"], *_package(c)) for c in found["commands"]]
    _print_table(console, "Commands", ("command", "package", "entry point"), commands)
    families = [(f["name"], *_package(f)) for f in found["backbones"]]
    _print_table(console, "Backbones", ("family", "package", "entry point"), families)
    extensions = [(p["kind"], p["name"], *_package(p)) for p in found["extensions"]]
    _print_table(console, "For the trainer", ("kind", "name", "package", "entry point"), extensions)
    broken = [(*_package(b), b["phase"], b["cause"], b["remedy"]) for b in found["broken"]]
    _print_table(console, "Broken", ("package", "entry point", "phase", "cause", "remedy"), broken)
    for plugin in found["broken"]:
        if plugin.get("traceback"):
            console.print(" ".join(_package(plugin)), style="bold")
            console.print(plugin["traceback"], markup=False, highlight=False)


def _package(plugin: dict[str, Any]) -> tuple[str, str]:
    return f"{plugin['distribution']} {plugin['version']}", plugin["entry_point"]


def _print_table(console: "Console", title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    if rows:
        table = Table(*head, title=title, title_justify="left", title_style="bold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
