"""The entry point ``seg``: the task is imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task


@hookimpl
def mtvit_task() -> "type[Task[Any, Any, Any]]":
    """Return the segmentation task."""
    from mtvit_seg.task import Segmentation

    return Segmentation


@hookimpl
def mtvit_published() -> "list[PublishedFormat]":
    """Return the kinds of EoMT checkpoints."""
    from mtvit_seg.published.eomt import (
        OfficialEomt,
        OfficialEomtDinov3,
        TransformersEomt,
        TransformersEomtDinov3,
    )

    return [TransformersEomt(), TransformersEomtDinov3(), OfficialEomt(), OfficialEomtDinov3()]
