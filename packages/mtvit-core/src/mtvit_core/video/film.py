"""A film of pictures, which can be watched up to its last frame whatever ends it."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from mtvit_core.errors import ConfigError
from mtvit_core.video.frames import package

#: Encoders by preference; which are there depends on the FFmpeg that PyAV was built with.
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
#: Little loss at a moderate size and speed; no frames that wait for later ones.
_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20", "bf": "0"}}
#: Each part of the file stands for itself, so that no more than one is lost where the process is killed.
_PARTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "fflags": "+flush_packets"}
#: Pictures of a part.
_PART = 50
_UNIT = Fraction(1, 90_000)


class Film:
    """Writes pictures to an MP4 file, at the times that they are given."""

    def __init__(self, path: Path, rate: float | None) -> None:
        """Prepare a film; the file is made with the first picture, which sets the size.

        Args:
            path: The file.
            rate: Frames a second that it states; None where they come as they come.
        """
        self._path, self._rate = path, rate
        self._container: Any = None
        self._stream: Any = None
        self._start, self._last = 0.0, -1

    def add(self, picture: Image.Image, time: float) -> None:
        """Append a picture.

        Args:
            picture: Of any size; others than the first's are brought to it.
            time: Seconds; the first picture's is the start of the film.
        """
        if self._container is None:
            self._begin(picture, time)
        size = (self._stream.width, self._stream.height)
        if picture.size != size:
            picture = _fitted(picture, size)
        frame = package().VideoFrame.from_image(picture)
        # Times of a camera that was opened again may start anew; those of a film only grow.
        self._last = max(self._last + 1, round((time - self._start) / _UNIT))
        frame.pts, frame.time_base = self._last, _UNIT
        self._container.mux(self._stream.encode(frame))

    def _begin(self, picture: Image.Image, time: float) -> None:
        av = package()
        encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
        if encoder is None:
            raise ConfigError(f"video: PyAV has none of the encoders {', '.join(_ENCODERS)}; use --no-draw.")
        self._container = av.open(str(self._path), "w", options=_PARTS)
        rate = Fraction(self._rate or 25).limit_denominator(1001)
        self._stream = self._container.add_stream(encoder, rate=rate, options=_OPTIONS.get(encoder, {}))
        self._stream.width, self._stream.height = (side + side % 2 for side in picture.size)
        self._stream.pix_fmt, self._stream.gop_size = "yuv420p", _PART
        self._stream.codec_context.time_base = _UNIT
        self._start = time

    def __enter__(self) -> "Film":
        """Return the film."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what still waits, and close the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """One more row or column where a side is odd; any other size is scaled."""
    if (picture.width + picture.width % 2, picture.height + picture.height % 2) != size:
        return picture.resize(size)
    more = ((0, size[1] - picture.height), (0, size[0] - picture.width), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), more, mode="edge"))
