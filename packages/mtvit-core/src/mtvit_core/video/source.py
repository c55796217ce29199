"""What counts as a video: a file, the address of a stream, or the number of a camera."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

#: Endings that mark a file as a video.
VIDEO_SUFFIXES = (
    ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
    ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
#: Addresses of what goes on while it is watched, so that late frames are left out.
LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True)
class VideoSource:
    """A video that can be opened.

    Attributes:
        address: What is opened.
        name: What messages and results call it; an address without user and password.
        stem: Name of the files that are written about it, without ending.
        live: Whether it goes on while it is watched: the newest frame is then taken, not every one.
        container: Format of the container, where the address does not tell it.
    """

    address: str
    name: str
    stem: str
    live: bool
    container: str | None = None


def video_source(given: str | Path) -> VideoSource | None:
    """Return the video that a path, an address or a number means; None where it means none."""
    text = str(given)
    scheme = _SCHEME.match(text)
    if scheme is not None:
        name = _USER.sub("", text)
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name.partition("://")[2].partition("?")[0]).strip("-")
        return VideoSource(text, name, stem or "stream", scheme[1].lower() in LIVE_SCHEMES)
    path = Path(text)
    if text.isascii() and text.isdecimal() and not path.exists():
        return _camera(int(text))
    if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir():
        return VideoSource(text, text, path.stem, live=False)
    return None


def _camera(number: int) -> VideoSource:
    name, stem = f"camera {number}", f"camera-{number}"
    if sys.platform == "darwin":
        return VideoSource(str(number), name, stem, live=True, container="avfoundation")
    return VideoSource(f"/dev/video{number}", name, stem, live=True, container="v4l2")
