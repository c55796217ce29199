"""The option ``--strict-plugins``: a broken plugin ends the command, whether its task is named or not."""

import click

from mtvit_core.plugins.environment import STRICT, switched_on

_STRICT = "mtvit.strict"


def _remember(context: click.Context, _: click.Parameter, value: bool) -> None:
    context.meta[_STRICT] = value or switched_on(STRICT)


def is_strict(context: click.Context) -> bool:
    """Tell whether ``--strict-plugins`` was given, or ``MTVIT_STRICT_PLUGINS`` is set."""
    return bool(context.meta.get(_STRICT, False))


def require_sound_plugins(context: click.Context) -> None:
    """Where strict, refuse to go on with a broken plugin.

    Raises:
        PluginError: naming the first one.
    """
    if is_strict(context):
        from mtvit_core.model import trial  # needs torch

        trial.require_sound_plugins()


#: The option, for a group of commands.
strict_option = click.option(
    "--strict-plugins",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help=f"Stop if any plugin is broken; same as {STRICT}=1.",
)
