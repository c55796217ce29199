"""The entry point ``distance``. It imports the task only when asked, so that commands start quickly."""

from typing import TYPE_CHECKING

from mtvit_core import hookimpl

if TYPE_CHECKING:
    from mtvit_core import AnyTask


@hookimpl
def mtvit_task() -> "type[AnyTask]":
    """Return the distance task."""
    from mtvit_distance.task import Distance

    return Distance
