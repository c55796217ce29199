"""The entry point ``pose``: its parts are imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task


@hookimpl
def mtvit_task() -> "type[Task[Any, Any, Any]]":
    """Return the pose task."""
    from mtvit_pose.task import PoseTask

    return PoseTask


@hookimpl
def mtvit_published() -> "list[PublishedFormat]":
    """Return ViTPose, of its authors and of transformers, and TokenPose."""
    from mtvit_pose.published.tokenpose import TokenPoseFormat
    from mtvit_pose.published.vitpose import OfficialViTPose, TransformersViTPose

    return [TransformersViTPose(), OfficialViTPose(), TokenPoseFormat()]
