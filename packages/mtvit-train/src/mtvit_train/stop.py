"""Asking a run to stop: signals are noted, and the loop acts on them where its state is whole."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

#: Exit code of a run that was asked to stop and can go on; EX_TEMPFAIL of sysexits.h.
STOPPED = 75
#: What asks a run to stop, where the system has it.
SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGUSR1") if name in signal.Signals.__members__
)


class StopAsked(Exception):  # noqa: N818  (being asked to stop is no error)
    """Raised where a run was asked to stop and its state is that between two steps.

    Attributes:
        cause: The signal's name.
    """

    def __init__(self, cause: str) -> None:
        """Keep the signal's name."""
        super().__init__(cause)
        self.cause = cause


class StopRequest:
    """Notes the signals that ask to stop, as a context; a second SIGINT stops at once.

    Attributes:
        cause: Name of the first signal; empty while there was none.
    """

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.cause = ""
        self._interrupts = 0
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
        """Tell whether to stop: the one place where this is decided, asked after every step and batch.

        Processes of one run call it equally often, so that they can agree here.
        """
        return bool(self.cause)

    def check(self) -> None:
        """Stop here if that was asked.

        Raises:
            StopAsked: it was.
        """
        if self.wanted():
            raise StopAsked(self.cause)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            raise KeyboardInterrupt
        self.cause = self.cause or signal.Signals(number).name


def ignore_signals() -> None:
    """Let a loader process outlive signals to its whole group; it ends with the process that started it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
