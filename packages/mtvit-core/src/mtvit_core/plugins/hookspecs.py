"""The hooks a plugin may implement; an entry point of group ``mtvit`` names the module that holds them."""

from typing import TYPE_CHECKING, Any

import pluggy

# Plugins are looked at by `mtvit --help`, which must not import torch.
if TYPE_CHECKING:
    import click

    from mtvit_core.backbones.family import BackboneFamily
    from mtvit_core.plugins.dataset_reader import Reader
    from mtvit_core.plugins.loss_weighting import Weighting
    from mtvit_core.plugins.sample_transform import Transform
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task

#: Name of the project for pluggy, and of the entry point group.
GROUP = "mtvit"

hookspec = pluggy.HookspecMarker(GROUP)
#: Decorator that marks a plugin's functions as hooks.
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec(firstresult=True)
def mtvit_task() -> "type[Task[Any, Any, Any]]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return the task class that the plugin provides.

    Import it inside the function, so that the commands start without torch. The entry point should have the
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


@hookspec(firstresult=True)
def mtvit_backbones() -> "list[type[BackboneFamily]]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return families of backbones, which ``model.backbone`` names as ``<family>:<model>``.

    Import them inside the function, so that the commands start without torch.
    """


@hookspec(firstresult=True)
def mtvit_readers() -> "list[type[Reader[Any]]]":  # type: ignore[empty-body]  # hook specifications have no body
    """Return classes that read data sets which are not in COCO's layout."""


@hookspec(firstresult=True)
def mtvit_transforms() -> "list[type[Transform[Any]]]":  # type: ignore[empty-body]  # as above
    """Return classes that change training samples."""


@hookspec(firstresult=True)
def mtvit_weightings() -> "list[type[Weighting[Any]]]":  # type: ignore[empty-body]  # as above
    """Return classes that weigh the losses of tasks against each other."""
