"""The entry point ``cls``: the task is imported only when asked for, so that commands start quickly."""

from typing import TYPE_CHECKING, Any

from mtvit_core.plugins.hookspecs import hookimpl

if TYPE_CHECKING:
    from mtvit_core import Reader
    from mtvit_core.tasks.task import Task


@hookimpl
def mtvit_task() -> "type[Task[Any, Any, Any]]":
    """Return the classification task."""
    from mtvit_cls.task import Classification

    return Classification


@hookimpl
def mtvit_readers() -> "list[type[Reader[Any]]]":
    """Return the readers of class folders and of CSV files."""
    from mtvit_cls.readers.class_folders import ClassFolders
    from mtvit_cls.readers.csv_labels import CsvLabels

    return [ClassFolders, CsvLabels]
