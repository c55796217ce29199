"""Finds plugins by the entry points of group ``mtvit`` and loads each alone: a broken one harms no other.

Order: what core itself brings by the same hooks, then by distribution and entry point name. Every entry point
passes up to six phases: ``import`` (its module), ``hooks`` (their names and arguments), ``commands`` (what
``mtvit_commands`` returns), ``task`` (what ``mtvit_task`` returns), and ``published`` and ``backbones``
likewise. The last three come last, because their classes need torch. A name that two plugins claim goes to
neither. A task that a run names passes one more, ``build``: its settings, tokens and head. Phase
``extensions`` is what other hooks return.
"""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from mtvit_core.__about__ import __version__
from mtvit_core.errors import PluginError, did_you_mean
from mtvit_core.plugins.environment import STRICT, TRACE, origin_of, selected, switched_on, trace
from mtvit_core.plugins.extension_kinds import KINDS, ExtensionKind, Kind, check_extensions
from mtvit_core.plugins.hookspecs import GROUP
from mtvit_core.plugins.origin import BrokenPlugin, Origin, Phase, PluginClass, PluginCommand
from mtvit_core.plugins.validation import (
    Fault,
    check_commands,
    check_families,
    check_hooks,
    check_published,
    check_task,
)

if TYPE_CHECKING:
    from mtvit_core.backbones.family import BackboneFamily
    from mtvit_core.published.format import PublishedFormat
    from mtvit_core.tasks.task import Task

V = TypeVar("V")
#: What core brings by the hooks of plugins; ``MTVIT_PLUGINS`` does not leave it out.
CORE = Origin("mtvit-core", __version__, "core")
_CORE_ENTRY = EntryPoint(CORE.entry_point, "mtvit_core.plugins.core_plugin", GROUP)


class Registry:
    """What a set of entry points provides; nothing is imported before it is asked for, and then only once."""

    def __init__(self, entries: Iterable[EntryPoint], *, strict: bool = False, traced: bool = False) -> None:
        """Fix the order.

        Args:
            entries: Entry points of group ``mtvit``.
            strict: Whether a broken plugin is fatal even where no run names its task.
            traced: Whether calls of hooks are shown.
        """
        self.strict, self.traced = strict, traced
        theirs = [(origin_of(entry), entry) for entry in entries]
        self._entries = [(CORE, _CORE_ENTRY), *sorted(theirs, key=lambda pair: pair[0].where)]
        self._broken: list[BrokenPlugin] = []

    @cached_property
    def commands(self) -> Mapping[str, PluginCommand]:
        """Commands of all plugins by name."""
        claims: list[tuple[Origin, str, PluginCommand]] = []
        for origin, hook in self._hooks("mtvit_commands"):
            with self._phase(origin, "commands"):
                for command in check_commands(hook()):
                    name = str(command.name)
                    claims.append((origin, name, PluginCommand(*origin.fields, name, command)))
        return self._grant("commands", claims)

    @cached_property
    def tasks(self) -> "Mapping[str, PluginClass[Task[Any, Any, Any]]]":
        """Tasks of all plugins by name."""
        claims: list[tuple[Origin, str, PluginClass[Task[Any, Any, Any]]]] = []
        for origin, hook in self._hooks("mtvit_task"):
            with self._phase(origin, "task"):
                cls = check_task(hook())
                claims.append((origin, cls.name, PluginClass(*origin.fields, cls.name, cls)))
        return self._grant("task", claims)

    @cached_property
    def published(self) -> "Mapping[str, PublishedFormat]":
        """Kinds of published checkpoints of all plugins by name."""
        claims: list[tuple[Origin, str, PublishedFormat]] = []
        for origin, hook in self._hooks("mtvit_published"):
            with self._phase(origin, "published"):
                claims += [(origin, format_.name, format_) for format_ in check_published(hook())]
        return self._grant("published", claims)

    @cached_property
    def families(self) -> "Mapping[str, PluginClass[BackboneFamily]]":
        """Families of backbones by name, core's own among them."""
        claims: list[tuple[Origin, str, PluginClass[BackboneFamily]]] = []
        for origin, hook in self._hooks("mtvit_backbones"):
            with self._phase(origin, "backbones"):
                own = [name for brings, name, _ in claims if brings is CORE]
                for cls in check_families(hook(), own):
                    claims.append((origin, cls.name, PluginClass(*origin.fields, cls.name, cls)))
        return self._grant("backbones", claims)

    def family(self, name: str, backbone: str) -> "PluginClass[BackboneFamily]":
        """Return a family of backbones.

        Args:
            name: Its name.
            backbone: The whole name of the backbone that is wanted, for the message.

        Raises:
            PluginError: it is not installed, or its plugin is broken.
        """
        self._require_sound()
        if name not in self.families:
            lost = [b for b in self.broken if b.task == name or b.phase in ("import", "hooks", "backbones")]
            raise PluginError(
                f"backbone {backbone!r}: no family {name!r} is installed; installed: "
                f"{', '.join(self.families)}.{did_you_mean(name, self.families)} Families come with plugin "
                "packages: see `mtvit plugins`; a name without a colon is timm's."
                + (f" Broken: {lost[0]}" if lost else "")
            )
        return self.families[name]

    @cached_property
    def extensions(self) -> Mapping[Kind, Mapping[str, PluginClass[Any]]]:
        """What plugins bring to the trainer, by kind and name."""
        return {name: self._extensions_of(kind) for name, kind in KINDS.items()}

    def _extensions_of(self, kind: ExtensionKind) -> Mapping[str, PluginClass[Any]]:
        claims: list[tuple[Origin, str, PluginClass[Any]]] = []
        for origin, hook in self._hooks(kind.hook):
            with self._phase(origin, "extensions"):
                for cls in check_extensions(hook(), kind):
                    claims.append((origin, cls.name, PluginClass(*origin.fields, cls.name, cls)))
        return self._grant("extensions", claims)

    def extension(self, kind: Kind, name: str) -> type[Any]:
        """Return the class of an extension.

        Raises:
            PluginError: it is not installed, or its plugin is broken.
        """
        self._require_sound()
        found = self.extensions[kind]
        if name not in found:
            lost = [broken for broken in self.broken if broken.task == name or broken.phase == "extensions"]
            raise PluginError(
                f"{kind} {name!r} is not installed; installed: {', '.join(found) or 'none'}."
                f"{did_you_mean(name, found)}" + (f" Broken: {lost[0]}" if lost else "")
            )
        return found[name].cls

    @property
    def broken(self) -> tuple[BrokenPlugin, ...]:
        """What failed to load in the phases that have run so far, in the order of loading."""
        return tuple(sorted(self._broken, key=lambda broken: broken.where))

    def choose(self, names: Sequence[str]) -> "dict[str, type[Task[Any, Any, Any]]]":
        """Return the classes of the named tasks, in the order given.

        Raises:
            PluginError: a task is named twice, not installed, or broken; where strict, any plugin is broken.
        """
        self._require_sound()
        chosen: dict[str, type[Task[Any, Any, Any]]] = {}
        for name in names:
            if name in chosen:
                raise PluginError(f"tasks: {name!r} is named twice; name each task once.")
            if name not in self.tasks:
                raise PluginError(self._why_not(name))
            chosen[name] = self.tasks[name].cls
        return chosen

    def load_all(self) -> tuple[BrokenPlugin, ...]:
        """Run every phase of loading of every plugin, and return what failed."""
        self.commands, self.tasks, self.published, self.families, self.extensions  # noqa: B018  (each looks for faults of its phase)
        return self.broken

    def _require_sound(self) -> None:
        if self.strict:
            require_none(self.load_all())

    def _why_not(self, name: str) -> str:
        lost = [
            broken
            for broken in self.broken
            if broken.task == name
            and broken.phase not in ("commands", "published", "backbones", "extensions")
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
                    manager, hooks = check_hooks(plugin)
                    if self.traced:
                        trace(manager, origin)
                    plugins.append((origin, hooks))
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
        self._broken.append(BrokenPlugin(*origin.fields, phase, fault.cause, fault.remedy, lost, trace))

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


@cache
def registry() -> Registry:
    """Return the registry of this environment; it is read once per process.

    Raises:
        PluginError: ``MTVIT_PLUGINS`` names something that is not installed.
    """
    entries = selected(tuple(entry_points(group=GROUP)))
    return Registry(entries, strict=switched_on(STRICT), traced=switched_on(TRACE))


def installed_tasks() -> "Mapping[str, PluginClass[Task[Any, Any, Any]]]":
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


def origin_of_task(cls: "type[Task[Any, Any, Any]]") -> Origin:
    """Say which plugin brings a task; the module it is defined in, where none does."""
    for found in installed_tasks().values():
        if found.cls is cls:
            return found
    return Origin(f"module {cls.__module__}", "(no plugin)", cls.name)


def make_extension(kind: Kind, name: str, settings: Mapping[str, Any], *more: Any) -> Any:
    """Make a reader, a transform or a weighting.

    Args:
        kind: Which of them.
        name: Its name.
        settings: Its settings, of the table ``[<kind>s.<name>]``.
        more: Further arguments of its class.

    Raises:
        PluginError: it is not installed, its plugin is broken, or its own code raises.
        ConfigError: a setting is unknown or has a wrong value.
    """
    from mtvit_core.config import validate

    cls = registry().extension(kind, name)
    return cls(validate(cls.Config, settings, f"{kind}s.{name}"), *more)


def require_none(broken: Sequence[BrokenPlugin]) -> None:
    """Refuse to go on where a plugin is broken.

    Raises:
        PluginError: naming the first one.
    """
    if broken:
        more = f" ({len(broken) - 1} more, see `mtvit plugins`)" if len(broken) > 1 else ""
        raise PluginError(f"plugins: strict, but one is broken: {broken[0]}{more}")
