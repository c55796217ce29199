"""The entry point ``spots``. It imports the task only when asked, so that commands start quickly."""

from typing import TYPE_CHECKING

from mtvit_core import hookimpl

if TYPE_CHECKING:
    from mtvit_core import AnyTask


@hookimpl
def mtvit_task() -> "type[AnyTask]":
    """Return the spots task."""
    from mtvit_spots.task import Spots

    return Spots
