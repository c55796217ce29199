"""What a plugin must look like: its hooks, its task class, its commands."""

import inspect
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from mtvit_core.errors import did_you_mean
from mtvit_core.plugins import hookspecs

if TYPE_CHECKING:
    import click

    from mtvit_core.backbones.family import BackboneFamily
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task

HOOKS = (
    "mtvit_task",
    "mtvit_commands",
    "mtvit_published",
    "mtvit_backbones",
    "mtvit_readers",
    "mtvit_transforms",
    "mtvit_weightings",
)
#: Commands of mtvit itself; a plugin may not take their names.
CORE_COMMANDS = (
    "convert",
    "export",
    "models",
    "new-plugin",
    "plugins",
    "predict",
    "profile",
    "push",
    "serve",
)


_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Fault(Exception):  # noqa: N818  (recorded in a report, not shown as an error)
    """A plugin breaks a rule.

    Attributes:
        cause: What was found and what was expected.
        remedy: What fixes it.
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
    """Tell whether a text is a word that can be used in settings."""
    return _NAME.fullmatch(text) is not None


def check_name(cls: Any, prefixed: str = "its config table, and of the losses and metrics of a task") -> None:
    """Check the name.

    Args:
        cls: What has it.
        prefixed: What begins with it, for the message.

    Raises:
        Fault: it is no word that can be used in settings.
    """
    if not (isinstance(cls.name, str) and is_name(cls.name)):
        raise Fault(
            f"{cls.__name__}.name is {cls.name!r}; allowed: lower-case letters, digits and _, a letter first",
            f"Rename it; its name is the prefix of {prefixed}.",
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


def check_hooks(plugin: object) -> tuple[pluggy.PluginManager, Mapping[str, pluggy.HookCaller]]:
    """Register one plugin in a manager of its own.

    Args:
        plugin: The module or object that an entry point names.

    Returns:
        The manager, and the plugin's hooks by name, ready to be called.

    Raises:
        Fault: a hook is misspelt, unmarked, takes other arguments than specified, or there is none.
    """
    _check_marks(plugin)
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
    except pluggy.PluginValidationError as error:
        cause = ", ".join(str(error).splitlines()[1:]) or str(error)
        raise Fault(
            cause, f"Use the signatures of mtvit_core.plugins.hookspecs: {'(), '.join(HOOKS)}()."
        ) from error
    hooks = {caller.name: caller for caller in manager.get_hookcallers(plugin) or ()}
    for name in hooks:
        if name not in HOOKS:
            nearest = did_you_mean(name, HOOKS)
            raise Fault(f"there is no hook {name!r}, only {', '.join(HOOKS)}", f"Rename it.{nearest}")
    if not hooks:
        raise Fault(
            f"it implements no hook; the hooks are {', '.join(HOOKS)}",
            "Mark a function of that name with @mtvit_core.hookspecs.hookimpl.",
        )
    return manager, hooks


def _check_marks(plugin: object) -> None:
    # A function that pluggy would pass over in silence.
    for name, value in inspect.getmembers(plugin, inspect.isroutine):
        if name.startswith("mtvit_") and not hasattr(value, f"{hookspecs.GROUP}_impl"):
            raise Fault(f"function {name!r} is not marked as a hook", "Put @hookimpl above it, or rename it.")


def check_task(cls: Any) -> "type[Task[Any, Any, Any]]":
    """Check the class that ``mtvit_task`` returned.

    Args:
        cls: What was returned; anything at all.

    Returns:
        The same object, known to be a complete subclass of ``Task``.

    Raises:
        Fault: it is something else, was written for another contract version, or lacks a part.
    """
    from mtvit_core.tasks.task import Task

    if not (isinstance(cls, type) and issubclass(cls, Task)):
        raise Fault(
            f"mtvit_task returned {cls!r}, not a subclass of mtvit_core.Task",
            "Return the class itself, not an object of it or its name.",
        )
    check_api(cls)
    missing = [name for name in ("name", "Config", "needs") if not hasattr(cls, name)]
    missing += sorted(cls.__abstractmethods__)
    if missing:
        raise Fault(
            f"{cls.__name__} lacks {', '.join(missing)}", "Define what mtvit_core.tasks.task.Task asks for."
        )
    check_name(cls)
    check_task_name(cls)
    check_config(cls)
    _check_capabilities(cls)
    return cls


def _check_capabilities(cls: Any) -> None:
    from mtvit_core.tasks.task import VIEWS

    if not (isinstance(cls.needs, frozenset) and all(isinstance(kind, str) for kind in cls.needs)):
        raise Fault(
            f"{cls.__name__}.needs is {cls.needs!r}, not a frozenset of kinds of label",
            'Write for instance `needs = frozenset({"boxes"})`.',
        )
    if not (isinstance(cls.views, frozenset) and cls.views and cls.views <= set(VIEWS)):
        raise Fault(
            f"{cls.__name__}.views is {cls.views!r}, not a frozenset of image, person",
            'Write for instance `views = frozenset({"image"})`.',
        )
    for name in ("exportable", "linkable"):
        value = getattr(cls, name)
        if not isinstance(value, bool):
            raise Fault(f"{cls.__name__}.{name} is {value!r}, not True or False", "Write one of them.")


def check_commands(commands: Any) -> "list[click.Command]":
    """Check what ``mtvit_commands`` returned.

    Raises:
        Fault: it is not a list of click commands, or one has no name or that of a command of mtvit itself.
    """
    import click

    if not isinstance(commands, list) or not all(isinstance(c, click.Command) and c.name for c in commands):
        raise Fault(
            f"mtvit_commands returned {commands!r}, not a list of named click commands",
            "Return a list, for instance `return [evaluate]`.",
        )
    taken = [command.name for command in commands if command.name in CORE_COMMANDS]
    if taken:
        raise Fault(f"{taken[0]!r} is a command of mtvit itself", "Give the command another name.")
    return commands


def check_published(formats: Any) -> "list[PublishedFormat]":
    """Check what ``mtvit_published`` returned.

    Raises:
        Fault: it is not a list of formats of published checkpoints.
    """
    from mtvit_core.published.format import PublishedFormat

    if not isinstance(formats, list) or not all(isinstance(f, PublishedFormat) for f in formats):
        raise Fault(
            f"mtvit_published returned {formats!r}, not a list of PublishedFormat objects",
            "Return a list of objects, for instance `return [Yolos()]`.",
        )
    return formats


def check_families(classes: Any, taken: Collection[str]) -> "list[type[BackboneFamily]]":
    """Check what ``mtvit_backbones`` returned.

    Args:
        classes: What was returned; anything at all.
        taken: Families of mtvit itself.

    Raises:
        Fault: it is not a list of classes of families, or one breaks the contract.
    """
    from mtvit_core.backbones.family import BackboneFamily

    if not isinstance(classes, list) or not all(
        isinstance(cls, type) and issubclass(cls, BackboneFamily) for cls in classes
    ):
        raise Fault(
            f"mtvit_backbones returned {classes!r}, not a list of subclasses of mtvit_core.BackboneFamily",
            "Return a list of classes, for instance `return [MyFamily]`.",
        )
    for cls in classes:
        check_api(cls)
        missing = [*(["name"] if not hasattr(cls, "name") else []), *sorted(cls.__abstractmethods__)]
        if missing:
            raise Fault(f"{cls.__name__} lacks {', '.join(missing)}", "Define what BackboneFamily asks for.")
        check_name(cls, "the names of its backbones")
        if cls.name in taken:
            raise Fault(
                f"{cls.name!r} is a family of backbones of mtvit itself", "Give the family another name."
            )
    return classes
