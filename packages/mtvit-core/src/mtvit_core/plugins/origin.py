"""Where something that a plugin brings comes from, and what is said of a plugin that is broken."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    import click

Phase = Literal["import", "hooks", "commands", "task", "published", "backbones", "extensions", "build"]
K = TypeVar("K")


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

    @property
    def fields(self) -> tuple[str, str, str]:
        """All three, to build what extends this class."""
        return self.distribution, self.version, self.entry_point


@dataclass(frozen=True)
class BrokenPlugin(Origin):
    """An entry point that cannot be used, or not in full, and why.

    Attributes:
        phase: Where it stopped.
        cause: What was found and what was expected.
        remedy: What fixes it.
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
class PluginClass(Origin, Generic[K]):
    """A class of a plugin that is ready for use.

    Attributes:
        name: Name that runs call it by.
        cls: The class.
    """

    name: str
    cls: type[K]


@dataclass(frozen=True)
class PluginCommand(Origin):
    """A command that a plugin adds to ``mtvit``.

    Attributes:
        name: Name of the command.
        command: What click runs.
    """

    name: str
    command: "click.Command"
