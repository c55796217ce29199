"""The entry point ``det``: the task is imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task


@hookimpl
def mtvit_task() -> "type[Task[Any, Any, Any]]":
    """Return the detection task."""
    from mtvit_det.task import Detection

    return Detection


@hookimpl
def mtvit_published() -> "list[PublishedFormat]":
    """Return the kinds of YOLOS checkpoints."""
    from mtvit_det.published.yolos import OfficialYolos, TransformersYolos

    return [TransformersYolos(), OfficialYolos()]
