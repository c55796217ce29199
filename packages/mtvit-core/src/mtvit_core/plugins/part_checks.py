"""What every class of a plugin must declare: its name, its contract version, its settings."""

import re
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Fault(Exception):  # noqa: N818  (recorded in a report, not shown as an error)
    """A plugin breaks a rule.

    Attributes:
        cause: What was found and what was expected.
        remedy: What mends it.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        """Keep cause and remedy apart."""
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


def check_api(cls: Any) -> None:
    """Check the contract version.

    Raises:
        Fault: it is not declared, or another one.
    """
    from mtvit_core.tasks.task import API

    if not hasattr(cls, "api"):
        raise Fault(
            f"{cls.__name__} does not say which contract version it was written for",
            f"Write `api = {API}`, the version of this mtvit-core, and look whether the plugin fits it.",
        )
    if cls.api != API:
        raise Fault(
            f"{cls.__name__}.api is {cls.api!r}, but this mtvit-core knows contract version {API}",
            "Install a release of the plugin and one of mtvit-core that share the version.",
        )


def is_name(text: str) -> bool:
    """Tell whether a text is a word that can stand in settings."""
    return _NAME.fullmatch(text) is not None


def check_name(cls: Any) -> None:
    """Check the name.

    Raises:
        Fault: it is no word that can stand in settings.
    """
    if not (isinstance(cls.name, str) and is_name(cls.name)):
        raise Fault(
            f"{cls.__name__}.name is {cls.name!r}; allowed: lower-case letters, digits and _, a letter first",
            "Rename it; its name is the prefix of its config table, and of the losses and metrics of a task.",
        )


def check_task_name(cls: Any) -> None:
    """Check that a module of torch can have a part of this name.

    Raises:
        Fault: the name is taken.
    """
    from torch.nn import ModuleDict

    if cls.name in ("backbone", "link") or hasattr(ModuleDict, cls.name):
        raise Fault(f"{cls.__name__}.name is {cls.name!r}, which is taken in every model", "Rename the task.")


def check_config(cls: Any) -> None:
    """Check the class of the settings.

    Raises:
        Fault: it is none, or takes unknown settings.
    """
    from mtvit_core.tasks.task import TaskConfig

    if not (isinstance(cls.Config, type) and issubclass(cls.Config, TaskConfig)):
        raise Fault(
            f"{cls.__name__}.Config is {cls.Config!r}, not a subclass of mtvit_core.TaskConfig",
            "Write `class Config(TaskConfig)` with one field per setting.",
        )
    if cls.Config.model_config.get("extra") != "forbid":
        raise Fault(
            f"{cls.__name__}.Config takes unknown settings, so that a misspelt one would do nothing",
            "Leave `extra` out of its model_config.",
        )
