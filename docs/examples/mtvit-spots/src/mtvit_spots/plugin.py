"""The entry point ``spots``: the task is imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.tasks.task import Task


@hookimpl
def mtvit_task() -> "type[Task[Any, Any, Any]]":
    """Return the spots task."""
    from mtvit_spots.task import Spots

    return Spots
