"""Options of a backbone whose tasks may own layers."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mtvit_core.errors import ConfigError


class BranchedOptions(BaseModel):
    """Options beside those of the plain backbone.

    Attributes:
        tasks: Names of the tasks that may own layers, separated by commas; others share every layer.
        shared_blocks: How many of the first blocks all tasks share, whatever the gates.
        gates: Empty: gates are learned, and every task has a copy of every layer above these blocks.
            ``shared``, ``own``, ``random:BUDGET:SEED`` (copies at random, up to so many times the weights of
            the plain backbone), or what each task owns, see ``Gates``: they are fixed, and only copies that
            are used are there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: str = Field(min_length=1)
    shared_blocks: int = Field(0, ge=0)
    gates: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(name.strip() for name in self.tasks.split(",") if name.strip())


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort options of a backbone into those of ``BranchedOptions`` and those of the plain backbone."""
    own = {key: value for key, value in options.items() if key in BranchedOptions.model_fields}
    return own, {key: value for key, value in options.items() if key not in own}


def check_options(name: str, options: BranchedOptions, depth: int) -> None:
    """Refuse options that do not fit a backbone.

    Args:
        name: Its name.
        options: Its options.
        depth: Its number of blocks.

    Raises:
        ConfigError: no task or one twice, or more shared blocks than there are.
    """
    names = options.names
    twice = [task for task in names if names.count(task) > 1]
    if not names or twice:
        found = f"names {twice[0]!r} twice" if twice else f"is {options.tasks!r}"
        raise ConfigError(
            f"backbone {name!r}: tasks {found}; give each task that may own layers once, as 'det,seg,pose'."
        )
    if options.shared_blocks > depth:
        raise ConfigError(
            f"backbone {name!r}: shared_blocks is {options.shared_blocks}, but it has {depth} blocks; give "
            f"at most {depth}."
        )
