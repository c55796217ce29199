"""Commands that are asked to stop and can go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Exit code of a run that was asked to stop and can go on; EX_TEMPFAIL of sysexits.h.
STOPPED = 75


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM stop the run as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
