"""What reading does with a fault in the data: stop at it, or note it and read on."""

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TypeAlias

from mtvit_core.errors import DataError

#: Put around what may raise a ``DataError``; ``with`` decides whether reading goes on after it.
Faults: TypeAlias = AbstractContextManager[object, bool | None]

#: Training's way: the first fault ends the reading.
STOP: Faults = nullcontext()


class Noted:
    """The way of ``mtvit-train doctor``: a fault is kept, what it concerns is left out, and reading goes on.

    Attributes:
        found: The faults, in the order they were met.
    """

    def __init__(self) -> None:
        """Start without faults."""
        self.found: list[DataError] = []

    def __enter__(self) -> "Noted":
        """Watch what follows."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep a fault of the data; every other exception goes on."""
        if isinstance(error, DataError):
            self.found.append(error)
            return True
        return False
