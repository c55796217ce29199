"""What the entry point ``train`` registers: the command ``mtvit evaluate``."""

from typing import TYPE_CHECKING

from mtvit_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def mtvit_commands() -> "list[click.Command]":
    """Return the commands this package adds to ``mtvit``."""
    from mtvit_train.evaluate_command import evaluate_command

    return [evaluate_command]
