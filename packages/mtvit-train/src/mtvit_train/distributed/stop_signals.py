"""Asking a run to stop: signals are noted, and the loop acts on them where its state is whole."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

import torch

from mtvit_train.distributed.ranks import Ranks

#: Exit code of a run that was asked to stop and can go on; EX_TEMPFAIL of sysexits.h.
STOPPED = 75
#: What asks a run to stop, where the system has it.
SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGUSR1") if name in signal.Signals.__members__
)

#: Seconds in which a second SIGINT counts as the first: some launchers pass on what the terminal sends too.
TWICE = 0.5


class StopAsked(Exception):  # noqa: N818  (being asked to stop is no error)
    """Raised where a run was asked to stop and its state is that between two steps.

    Attributes:
        cause: The signal's name.
    """

    def __init__(self, cause: str) -> None:
        """Keep the signal's name."""
        super().__init__(cause)
        self.cause = cause


class Stopped(Exception):  # noqa: N818  (being asked to stop is no error)
    """A run was stopped and can go on; the text of the first process is one line that says how."""


class StopRequest:
    """Notes the signals that ask to stop, as a context; a second SIGINT stops at once.

    Attributes:
        cause: Name of the first signal; empty while there was none.
    """

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.cause = ""
        self._interrupted = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        """Listen; only the main thread of a process can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the signals to whom they belonged."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wanted(self) -> bool:
        """Tell whether any process of the run was asked to stop: the one place where this is decided.

        All processes have to ask equally often, since they wait for each other here.
        """
        return Ranks.current().largest(float(bool(self.cause)), torch.device("cpu")) > 0

    def check(self) -> None:
        """Stop here, in all processes, if one of them was asked to.

        Raises:
            StopAsked: it was.
        """
        if self.wanted():
            raise StopAsked(self.cause or "a signal to another process")

    def check_here(self) -> None:
        """Stop here if this process was asked to, whatever the others do.

        Raises:
            StopAsked: it was.
        """
        if self.cause:
            raise StopAsked(self.cause)

    @contextmanager
    def apart(self) -> Iterator[Callable[[], None]]:
        """Let processes ask unequally often, inside, and agree at the end.

        Yields:
            What to call between two parts of the work.

        Raises:
            StopAsked: in all processes, if one of them was asked to stop.
        """
        with suppress(StopAsked):
            yield self.check_here
        self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            now = time.monotonic()
            self._interrupted = self._interrupted or now
            if now - self._interrupted > TWICE:
                raise KeyboardInterrupt
        self.cause = self.cause or signal.Signals(number).name


def ignore_signals() -> None:
    """Let a loader process outlive signals to its whole group; it ends with the process that started it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
