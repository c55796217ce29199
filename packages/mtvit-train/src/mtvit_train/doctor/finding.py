"""What is wrong with a data set, or worth a look."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ``fault``: training refuses the data, or would stop at it. ``doubt``: training runs; look whether it is
#: meant so.
Level = Literal["fault", "doubt"]


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        level: How serious it is.
        check: Which check found it.
        where: The split, or both.
        message: One line: place, what was found, what to do.
    """

    level: Level
    check: str
    where: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def listing(names: list[str], most: int = 5) -> str:
    """Name a few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
