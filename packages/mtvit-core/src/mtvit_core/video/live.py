"""Frames of a camera or a stream: always the newest one, and again after the connection was lost."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mtvit_core.errors import DataError
from mtvit_core.video.frames import Clock, Frame, Reading, opened, package, pixels
from mtvit_core.video.source import VideoSource

if TYPE_CHECKING:
    from av import VideoFrame

#: Seconds before each attempt to open a source again that has ended; then it is given up.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


def live_frames(source: VideoSource, reading: Reading, pauses: Sequence[float] = PAUSES) -> Iterator[Frame]:
    """Yield the newest frame whenever one is asked for.

    Args:
        source: A camera, or the address of a stream.
        reading: Is kept up to date.
        pauses: Seconds before each attempt to open it again; frames that come start them anew.

    Raises:
        DataError: it cannot be opened at all.
        ConfigError: PyAV is not installed.
    """
    with closing(_Newest(source, reading, pauses)) as newest:
        while (found := newest.take()) is not None:
            time, picture = found
            frame = Frame(reading.frames, time, pixels(picture))
            reading.frames += 1
            yield frame


class _Newest:
    """The newest frame of a source, which a thread of its own reads all the time."""

    def __init__(self, source: VideoSource, reading: Reading, pauses: Sequence[float]) -> None:
        self._source, self._reading, self._pauses = source, reading, pauses
        self._found: tuple[float, VideoFrame] | None = None
        self._failed: Exception | None = None
        self._over = False
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="mtvit-camera", daemon=True)
        self._thread.start()

    def take(self) -> "tuple[float, VideoFrame] | None":
        """Wait for a frame that was not yet taken; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._found is not None or self._over)
            found, self._found = self._found, None
            if found is None and self._failed is not None:
                raise self._failed
            return found

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(timeout=1)  # one that waits for a dead camera ends with the process

    def _run(self) -> None:
        try:
            self._read_again_and_again()
        except Exception as cause:
            self._failed = cause
        with self._changed:
            self._over = True
            self._changed.notify()

    def _read_again_and_again(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            before = self._seen
            try:
                reason = self._read_once()
            except DataError as cause:
                if not before:
                    raise
                reason = str(cause)
            attempt = 0 if self._seen > before else attempt
            if attempt == len(self._pauses):
                self._reading.ended = (
                    f"no more frames came, and it was opened {attempt} times again: {reason}"
                )
                return
            self._stop.wait(self._pauses[attempt])
            attempt += 1

    @property
    def _seen(self) -> int:
        waits = self._found is not None
        return self._reading.frames + self._reading.dropped + waits

    def _read_once(self) -> str:
        """Read until the source ends, and tell why it did."""
        av = package()
        with opened(self._source) as (container, stream):
            clock = Clock(stream)
            self._reading.rate = clock.rate
            try:
                for packet in container.demux(stream):
                    if self._stop.is_set():
                        return "stopped"
                    self._decode(packet.decode, clock)
            except av.error.FFmpegError as cause:
                return str(cause).splitlines()[0]
        return "the source ended"

    def _decode(self, decode: "Callable[[], list[VideoFrame]]", clock: Clock) -> None:
        try:
            pictures = decode()
        except package().error.InvalidDataError:
            self._reading.damaged += 1
            return
        for picture in pictures:
            with self._changed:
                self._reading.dropped += self._found is not None
                self._found = (clock.time(picture), picture)
                self._changed.notify()
