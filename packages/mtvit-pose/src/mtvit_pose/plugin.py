"""The entry point that mtvit finds: hooks only, so that listing plugins stays quick."""

from typing import Any

from mtvit_core.hookspecs import hookimpl
from mtvit_core.task import Task


@hookimpl
def mtvit_task() -> type[Task[Any, Any, Any]]:
    """Return the pose task."""
    from mtvit_pose.task import PoseTask

    return PoseTask
