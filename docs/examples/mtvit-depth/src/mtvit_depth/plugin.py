"""The entry point ``depth``. It imports the task only when asked, so that commands start quickly."""

from typing import TYPE_CHECKING

from mtvit_core import hookimpl

if TYPE_CHECKING:
    from mtvit_core import AnyTask


@hookimpl
def mtvit_task() -> "type[AnyTask]":
    """Return the depth task."""
    from mtvit_depth.task import Depth

    return Depth
