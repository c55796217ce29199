"""Frames of a video file: every one, upright, with its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.video.source import VideoSource

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: A file that ends so many seconds before its own statement is torn; some state a little too much.
_SLACK = 1.0
#: Seconds until a stream has to answer, and until its next packet has to come.
_TIMEOUT = (10.0, 10.0)


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        index: Its number, from 0.
        time: Seconds, as the video states them.
        image: RGB, upright.
    """

    index: int
    time: float
    image: UInt8[Tensor, "3 H W"]


@dataclass
class Reading:
    """How far a video was read.

    Attributes:
        frames: Frames so far.
        total: Frames that the file states; None where it does not.
        rate: Frames a second that the file states; None where it does not.
        damaged: Packets that could not be decoded, and were left out.
        dropped: Frames of a live source that came while another one was worked on.
        ended: Why it ended before its end; empty where it did not.
    """

    frames: int = 0
    total: int | None = None
    rate: float | None = None
    damaged: int = 0
    dropped: int = 0
    ended: str = ""


def file_frames(source: VideoSource, reading: Reading) -> Iterator[Frame]:
    """Yield every frame; what is torn ends the video, and ``reading`` tells why.

    A packet that cannot be decoded is left out and counted, as players do.

    Args:
        source: A file, or an address that is read like one.
        reading: Is kept up to date.

    Raises:
        DataError: it cannot be opened, or has no picture.
        ConfigError: PyAV is not installed.
    """
    av = package()
    with opened(source) as (container, stream):
        clock = Clock(stream)
        reading.total, reading.rate = stream.frames or None, clock.rate
        try:
            for packet in container.demux(stream):
                try:
                    pictures = packet.decode()
                except av.error.InvalidDataError:
                    reading.damaged += 1
                    continue
                for picture in pictures:
                    frame = Frame(reading.frames, clock.time(picture), pixels(picture))
                    reading.frames += 1
                    yield frame
        except av.error.FFmpegError as cause:
            reading.ended = _reason(cause)
        if not reading.ended and clock.lacks(reading):
            reading.ended = f"the file states {reading.total} frames and holds {reading.frames}"


class Clock:
    """Times of the frames of a stream: stated ones, or where there are none, the stated rate."""

    def __init__(self, stream: "VideoStream") -> None:
        """Begin before the first frame."""
        rate = stream.average_rate or stream.guessed_rate
        self.rate = float(rate) if rate else None
        self._unit = stream.time_base
        self._length = float(stream.duration * self._unit) if stream.duration and self._unit else None
        self._first: float | None = None
        self._next = 0.0

    def time(self, picture: "VideoFrame") -> float:
        """Return the time of a frame in seconds."""
        unit = picture.time_base or self._unit
        time = self._next if picture.pts is None or unit is None else float(picture.pts * unit)
        self._first = time if self._first is None else self._first
        self._next = time + 1 / (self.rate or 30.0)
        return time

    def lacks(self, reading: Reading) -> bool:
        """Tell whether a file ended well before what it states."""
        if reading.total is None or self._length is None or reading.frames >= reading.total:
            return False
        return self._next - (self._first or 0.0) < self._length - _SLACK or not reading.frames


@contextmanager
def opened(source: VideoSource) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open a video.

    Raises:
        DataError: it cannot be opened, or has no picture.
        ConfigError: PyAV is not installed.
    """
    av = package()
    streamed = "://" in source.address
    options = {"rtsp_transport": "tcp"} if source.address.lower().startswith("rtsp") else {}
    try:
        container = av.open(
            source.address,
            format=source.container,
            options=options,
            timeout=_TIMEOUT if streamed else None,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError) as cause:
        what = "check the camera and its number" if source.container else "check the address or the file"
        raise DataError(
            f"{source.name}: it cannot be opened as a video ({_reason(cause)}); {what}."
        ) from None
    with container:
        if not container.streams.video:
            raise DataError(f"{source.name}: it holds no pictures; give a file with a video stream.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def pixels(picture: "VideoFrame") -> UInt8[Tensor, "3 H W"]:
    """Return a decoded frame as RGB, turned as the file says."""
    values = picture.to_ndarray(format="rgb24")
    turns = round(picture.rotation / 90) % 4  # anticlockwise, as of phones that were held upright
    upright = np.ascontiguousarray(np.rot90(values, turns).transpose(2, 0, 1))
    return torch.from_numpy(upright)


def package() -> Any:
    """Return PyAV.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("av")
    except ImportError:
        raise ConfigError(
            "video: the package av is not installed; pip install 'mtvit-core[video]'."
        ) from None


def _reason(cause: Exception) -> str:
    return str(getattr(cause, "strerror", None) or cause).splitlines()[0]
