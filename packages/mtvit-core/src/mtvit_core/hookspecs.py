"""The hooks a plugin may implement; an entry point of group ``mtvit`` names the module that holds them."""

from typing import TYPE_CHECKING, Any

import pluggy

# Plugins are looked at by `mtvit --help`, which must not import torch.
if TYPE_CHECKING:
    import click

    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.task import Task

#: Name of the project for pluggy, and of the entry point group.
GROUP = "mtvit"

hookspec = pluggy.HookspecMarker(GROUP)
#: Decorator that marks a plugin's functions as hooks.
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec(firstresult=True)
def mtvit_task() -> "type[Task[Any, Any, Any]]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return the task class that the plugin provides.

    Import it inside the function, so that the commands start without torch. The entry point should bear the
    name of the task: a run that names the task is then told why it cannot be loaded.
    """


@hookspec(firstresult=True)
def mtvit_commands() -> "list[click.Command]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return click commands that join the ``mtvit`` command.

    Called whenever ``mtvit`` starts: import what is heavy inside the commands' functions.
    """


@hookspec(firstresult=True)
def mtvit_published() -> "list[PublishedFormat]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return the kinds of published checkpoints that the plugin turns into models of its task.

    Import them inside the function, so that the commands start without torch.
    """
