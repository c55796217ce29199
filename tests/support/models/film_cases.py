"""Small videos, made on the spot."""

import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

#: Brightness of frame i of a video is SHADES[i % 5], in all three channels.
SHADES = (20, 70, 120, 170, 220)


def write_film(
    where: str | Path,
    frames: int = 5,
    size: tuple[int, int] = (48, 32),
    rotation: int = 0,
    milliseconds: Sequence[int] | None = None,
    encoder: str = "mpeg4",
    **options: str,
) -> None:
    """Write a video of plain frames, 25 a second unless ``milliseconds`` says when each one comes.

    The left half of every frame is as bright as ``SHADES`` says, the right half 10 brighter.
    """
    times = milliseconds or [40 * i for i in range(frames)]
    with av.open(str(where), "w", options=options) as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p" if encoder == "mpeg4" else "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.gop_size = 1
        if rotation:
            stream.set_display_rotation(rotation)
        for i, time in enumerate(times):
            values = np.full((size[1], size[0], 3), SHADES[i % 5], np.uint8)
            values[:, size[0] // 2 :] += 10
            frame = av.VideoFrame.from_ndarray(values, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sent(frames: int, pause: float = 0.0) -> Iterator[str]:
    """Send a video once, to whoever connects first; yields the address.

    Args:
        frames: How many.
        pause: Seconds between parts of 4 KiB.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        film = Path(folder) / "film.ts"
        write_film(film, frames)
        data = film.read_bytes()

        def send() -> None:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                for start in range(0, len(data), 4096):
                    connection.sendall(data[start : start + 4096])
                    time.sleep(pause)
            server.close()

        sender = threading.Thread(target=send)
        sender.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        sender.join()
