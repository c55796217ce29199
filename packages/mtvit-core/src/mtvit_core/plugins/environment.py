"""Environment variables: which plugins are loaded, how strictly, and whether their calls are shown."""

import os
import sys
import time
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from mtvit_core.errors import PluginError, did_you_mean
from mtvit_core.plugins.origin import Origin

if TYPE_CHECKING:
    import pluggy

#: Comma-separated names of entry points or packages: only these are loaded. Set but empty: none.
ONLY = "MTVIT_PLUGINS"
#: Any broken plugin ends the command.
STRICT = "MTVIT_STRICT_PLUGINS"
#: Every call of a hook is shown on stderr.
TRACE = "MTVIT_TRACE_PLUGINS"


def switched_on(variable: str) -> bool:
    """Tell whether a variable is set to anything but ``0`` or nothing."""
    return os.environ.get(variable, "") not in ("", "0")


def origin_of(entry: EntryPoint) -> Origin:
    """Say where an entry point comes from; a damaged installation has no metadata to tell."""
    if entry.dist is None or not {"Name", "Version"} <= {*entry.dist.metadata}:
        return Origin("unknown package", "0", entry.name)
    return Origin(str(entry.dist.name), str(entry.dist.version), entry.name)


def selected(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Leave out what ``MTVIT_PLUGINS`` does not name.

    Raises:
        PluginError: it names something that is not installed.
    """
    found = list(entries)
    wanted = os.environ.get(ONLY)
    if wanted is None:
        return found
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    known = {name: entry for entry in found for name in (entry.name, origin_of(entry).distribution)}
    there = ", ".join(sorted(known)) or "none"
    for name in names:
        if name not in known:
            raise PluginError(
                f"MTVIT_PLUGINS: no plugin is called {name!r}; installed: {there}."
                f"{did_you_mean(name, known)} Give names of entry points or packages, comma-separated."
            )
    return [entry for entry in found if {entry.name, origin_of(entry).distribution} & set(names)]


def trace(manager: "pluggy.PluginManager", origin: Origin) -> None:
    """Show every hook call of a plugin on stderr: its result or what it raised, and how long it took."""
    started: list[float] = []

    def before(name: str, methods: object, arguments: object) -> None:
        started.append(time.perf_counter())

    def after(outcome: "pluggy.Result[Any]", name: str, methods: object, arguments: object) -> None:
        milliseconds = 1000 * (time.perf_counter() - started.pop())
        error = outcome.exception
        end = f"returned {outcome.get_result()!r}" if error is None else f"raised {error!r}"
        sys.stderr.write(f"trace: {origin.where}: {name}() {end} in {milliseconds:.1f} ms\n")

    manager.add_hookcall_monitoring(before, after)
