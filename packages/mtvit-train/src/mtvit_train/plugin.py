"""What the entry point ``train`` registers: the command ``mtvit evaluate``."""

import click

from mtvit_core.hookspecs import hookimpl
from mtvit_train.evaluate_command import evaluate_command


@hookimpl
def mtvit_commands() -> list[click.Command]:
    """Return the commands this package adds to ``mtvit``."""
    return [evaluate_command]
