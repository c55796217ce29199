"""Commands whose deliberate errors are one line; ``-v`` shows where they come from."""

import os
import sys
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
    """A group of commands that end with exit code 2 and one line on stderr where mtvit raises an error.

    So they do where the system refuses: a full disk, a folder that may not be written, a file that is gone.
    """

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        """Read the command line; ``--help`` is answered here."""
        try:
            return super().make_context(*arguments, **keywords)
        except BrokenPipeError:
            raise
        except (MtvitError, OSError) as error:
            _tell(error)
            raise click.exceptions.Exit(2) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and see that what it prints arrives."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
            return done
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends without a word
        except (MtvitError, OSError) as error:
            if is_verbose(ctx):
                traceback.print_exception(error)
            _tell(error)
            ctx.exit(2)


def _refusal(error: OSError) -> str:
    """Say in one line what the system refused."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}the system refuses ({error.strerror or error}); free the disk, or correct path and rights."
    )


def _tell(error: Exception) -> None:
    """Print the line, and drop other output that cannot be printed, which would be tried again at the end."""
    click.echo(f"error: {_refusal(error) if isinstance(error, OSError) else error}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
