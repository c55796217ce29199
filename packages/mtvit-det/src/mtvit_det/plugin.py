"""What the entry point ``det`` registers."""

from typing import Any

from mtvit_core.hookspecs import hookimpl
from mtvit_core.task import Task
from mtvit_det.task import Detection


@hookimpl
def mtvit_task() -> type[Task[Any, Any, Any]]:
    """Return the detection task."""
    return Detection
