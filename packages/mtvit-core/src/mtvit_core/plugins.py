"""Finds plugins by the entry points of group ``mtvit`` and loads each alone: a broken one harms no other.

Order: by distribution and entry point name. Every entry point passes up to five phases: ``import`` (its
module), ``hooks`` (their names and arguments), ``commands`` (what ``mtvit_commands`` returns), ``task`` (what
``mtvit_task`` returns), ``published`` (what ``mtvit_published`` returns). The last two come last, because
their classes need torch. A name that two plugins claim goes to neither.
"""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pluggy

from mtvit_core.errors import PluginError, did_you_mean
from mtvit_core.hookspecs import GROUP
from mtvit_core.plugin_checks import Fault, check_commands, check_hooks, check_published, check_task

if TYPE_CHECKING:
    import click

    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.task import Task

Phase = Literal["import", "hooks", "commands", "task", "published"]
V = TypeVar("V")


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    Attributes:
        distribution: Installed package that declares the entry point.
        version: Its version.
        entry_point: Name of the entry point.
    """

    distribution: str
    version: str
    entry_point: str

    @property
    def where(self) -> str:
        """All three in words."""
        return f"{self.distribution} {self.version}, entry point {self.entry_point!r}"


@dataclass(frozen=True)
class BrokenPlugin(Origin):
    """An entry point that cannot be used, or not in full, and why.

    Attributes:
        phase: Where loading stopped.
        cause: What was found and what was expected.
        remedy: What mends it.
        task: Name of the task that is lost; the entry point's name where the plugin did not get to tell.
        traceback: Where the plugin raised; empty where the loader found the fault itself.
    """

    phase: Phase
    cause: str
    remedy: str
    task: str
    traceback: str = ""

    def __str__(self) -> str:
        """Say everything but the traceback in one line."""
        return f"{self.where}: {self.phase} failed: {self.cause}. {self.remedy}"


@dataclass(frozen=True)
class PluginTask(Origin):
    """A task that is ready for use.

    Attributes:
        name: Name of the task.
        cls: Its class.
    """

    name: str
    cls: "type[Task[Any, Any, Any]]"


@dataclass(frozen=True)
class PluginCommand(Origin):
    """A command that a plugin adds to ``mtvit``.

    Attributes:
        name: Name of the command.
        command: What click runs.
    """

    name: str
    command: "click.Command"


class Registry:
    """What a set of entry points provides; nothing is imported before it is asked for, and then only once."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        """Fix the order.

        Args:
            entries: Entry points of group ``mtvit``.
        """
        self._entries = sorted(((_origin(entry), entry) for entry in entries), key=lambda pair: pair[0].where)
        self._broken: list[BrokenPlugin] = []

    @cached_property
    def commands(self) -> Mapping[str, PluginCommand]:
        """Commands of all plugins by name."""
        claims: list[tuple[Origin, str, PluginCommand]] = []
        for origin, hook in self._hooks("mtvit_commands"):
            with self._phase(origin, "commands"):
                for command in check_commands(hook()):
                    name = str(command.name)
                    claims.append((origin, name, PluginCommand(*_fields(origin), name, command)))
        return self._grant("commands", claims)

    @cached_property
    def tasks(self) -> Mapping[str, PluginTask]:
        """Tasks of all plugins by name."""
        claims: list[tuple[Origin, str, PluginTask]] = []
        for origin, hook in self._hooks("mtvit_task"):
            with self._phase(origin, "task"):
                cls = check_task(hook())
                claims.append((origin, cls.name, PluginTask(*_fields(origin), cls.name, cls)))
        return self._grant("task", claims)

    @cached_property
    def published(self) -> "Mapping[str, PublishedFormat]":
        """Kinds of published checkpoints of all plugins by name."""
        claims: list[tuple[Origin, str, PublishedFormat]] = []
        for origin, hook in self._hooks("mtvit_published"):
            with self._phase(origin, "published"):
                claims += [(origin, format_.name, format_) for format_ in check_published(hook())]
        return self._grant("published", claims)

    @property
    def broken(self) -> tuple[BrokenPlugin, ...]:
        """What failed in the phases that have run so far, in the order of loading."""
        return tuple(sorted(self._broken, key=lambda broken: broken.where))

    def choose(self, names: Sequence[str]) -> "dict[str, type[Task[Any, Any, Any]]]":
        """Return the classes of the named tasks, in the order given.

        Raises:
            PluginError: a task is named twice, not installed, or its plugin is broken.
        """
        chosen: dict[str, type[Task[Any, Any, Any]]] = {}
        for name in names:
            if name in chosen:
                raise PluginError(f"tasks: {name!r} is named twice; name each task once.")
            if name not in self.tasks:
                raise PluginError(self._why_not(name))
            chosen[name] = self.tasks[name].cls
        return chosen

    def _why_not(self, name: str) -> str:
        lost = [
            broken
            for broken in self.broken
            if broken.task == name and broken.phase not in ("commands", "published")
        ]
        if lost:
            return f"tasks: {name!r} is broken: {lost[0]}"
        installed = ", ".join(self.tasks) or "none"
        return (
            f"tasks: {name!r} is not installed; installed: {installed}.{did_you_mean(name, self.tasks)} "
            "Tasks come with plugin packages: see `mtvit plugins`."
        )

    @cached_property
    def _plugins(self) -> list[tuple[Origin, Mapping[str, pluggy.HookCaller]]]:
        plugins = []
        for origin, entry in self._entries:
            with self._phase(origin, "import"):
                plugin = entry.load()
                with self._phase(origin, "hooks"):
                    plugins.append((origin, check_hooks(plugin)))
        return plugins

    def _hooks(self, name: str) -> list[tuple[Origin, pluggy.HookCaller]]:
        return [(origin, hooks[name]) for origin, hooks in self._plugins if name in hooks]

    @contextmanager
    def _phase(self, origin: Origin, phase: Phase) -> Iterator[None]:
        """Record whatever is raised inside: nothing a plugin does may reach the others."""
        try:
            yield
        except Fault as fault:
            self._record(origin, phase, fault)
        except (Exception, SystemExit) as error:
            message = " ".join(str(error).split())
            raised = Fault(
                f"{type(error).__name__}: {message}" if message else type(error).__name__,
                f"Reinstall {origin.distribution} with what it needs, or uninstall it.",
            )
            self._record(origin, phase, raised, "".join(traceback.format_exception(error)))

    def _record(self, origin: Origin, phase: Phase, fault: Fault, trace: str = "", task: str = "") -> None:
        lost = task or origin.entry_point
        self._broken.append(BrokenPlugin(*_fields(origin), phase, fault.cause, fault.remedy, lost, trace))

    def _grant(self, phase: Phase, claims: Sequence[tuple[Origin, str, V]]) -> dict[str, V]:
        owners: dict[str, list[Origin]] = {}
        for origin, name, _ in claims:
            owners.setdefault(name, []).append(origin)
        for name, origins in owners.items():
            for origin in origins if len(origins) > 1 else ():
                others = " and ".join(other.where for other in origins if other is not origin)
                fault = Fault(f"{name!r} is also claimed by {others}", "Uninstall all but one of them.")
                self._record(origin, phase, fault, task=name)
        return {name: value for _, name, value in claims if len(owners[name]) == 1}


def _origin(entry: EntryPoint) -> Origin:
    if entry.dist is None or not {"Name", "Version"} <= {*entry.dist.metadata}:  # a damaged installation
        return Origin("unknown package", "0", entry.name)
    return Origin(str(entry.dist.name), str(entry.dist.version), entry.name)


def _fields(origin: Origin) -> tuple[str, str, str]:
    return origin.distribution, origin.version, origin.entry_point


@cache
def registry() -> Registry:
    """Return the registry of this environment; it is read once per process."""
    return Registry(tuple(entry_points(group=GROUP)))


def installed_tasks() -> Mapping[str, PluginTask]:
    """Return every task that can be used, by name."""
    return registry().tasks


def tasks(names: Sequence[str]) -> "dict[str, type[Task[Any, Any, Any]]]":
    """Return the classes of the named tasks, in the order given.

    Raises:
        PluginError: a task is named twice, not installed, or its plugin is broken.
    """
    return registry().choose(names)


def published_formats() -> "tuple[PublishedFormat, ...]":
    """Return every kind of published checkpoint that an installed plugin knows."""
    return tuple(registry().published.values())


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """Return every plugin that cannot be used in full, after trying all their hooks."""
    found = registry()
    found.commands, found.tasks, found.published  # noqa: B018  (each looks for faults of its phase)
    return found.broken
