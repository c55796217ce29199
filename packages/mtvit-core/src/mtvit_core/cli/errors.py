"""Commands whose deliberate errors are one line; ``-v`` shows where they come from."""

import traceback
from typing import Any

import click

from mtvit_core.errors import MtvitError

_VERBOSE = "mtvit.verbose"


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_VERBOSE] = value or is_verbose(context)


def is_verbose(context: click.Context) -> bool:
    """Tell whether ``-v`` was given to a command or to the group it belongs to."""
    return bool(context.meta.get(_VERBOSE, False))


#: The option ``-v``, for a group or any of its commands.
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Show the traceback of an error.",
)


class OneLineErrors(click.Group):
    """A group of commands that end with exit code 2 and one line on stderr where mtvit raises an error."""

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        """Read the command line; ``--help`` is answered here."""
        try:
            return super().make_context(*arguments, **keywords)
        except MtvitError as error:
            click.echo(f"error: {error}", err=True)
            raise click.exceptions.Exit(2) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except MtvitError as error:
            if is_verbose(ctx):
                traceback.print_exception(error)
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
