"""What a model finds in every frame of a video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.predict import predict_stream
from mtvit_core.inference.predictor import Predictor
from mtvit_core.results.image_result import ImageResult
from mtvit_core.video.ahead import ahead
from mtvit_core.video.frames import Frame, Reading, file_frames
from mtvit_core.video.live import live_frames
from mtvit_core.video.source import VideoSource, video_source
from mtvit_core.video.tracking import Tracker

#: From frames to the boxes of their people, for tasks that look at one person at a time.
People = Callable[[Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class FrameResult:
    """What was found in a frame.

    Attributes:
        frame: The frame.
        result: What the tasks say of it; its ``image_id`` is the number of the frame.
        tracks: Number of each object, the same in all frames, None for those that are not followed; empty
            without a tracker.
    """

    frame: Frame
    result: ImageResult
    tracks: tuple[int | None, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON, with ``frame``, ``time`` in seconds, and each object's ``track``."""
        told = self.result.to_json()
        for entry, track in zip(told["objects"], self.tracks, strict=False):
            entry["track"] = track
        return {"frame": self.frame.index, "time": round(self.frame.time, 6), **told}


def predict_video(
    model: Predictor,
    video: str | Path | VideoSource,
    options: PredictOptions | None = None,
    tracker: Tracker | None = None,
    reading: Reading | None = None,
    people: People | None = None,
) -> Iterator[FrameResult]:
    """Yield what a model finds in the frames of a video, holding a few of them at a time.

    Args:
        model: A model, or whatever answers like one.
        video: A file, the address of a stream, or the number of a camera. Of files every frame is taken, of
            streams and cameras the newest.
        options: How results are made; ``batch_size`` frames of a file are one pass.
        tracker: Numbers the objects.
        reading: Told how far the video was read, and why it ended.
        people: Finds the people for top-down tasks; None as for ``predict``.

    Raises:
        DataError: the video cannot be opened.
        ConfigError: it is no video, or a package that it needs is not installed.
    """
    source = video if isinstance(video, VideoSource) else video_source(video)
    if source is None:
        raise ConfigError(
            f"video {video!s:.60}: it is no video; give a file, an address or a camera's number."
        )
    options = options or PredictOptions()
    reading = Reading() if reading is None else reading
    if source.live:
        yield from _found(
            model, live_frames(source, reading), source, replace(options, batch_size=1), tracker, people
        )
        return
    with ahead(file_frames(source, reading), 2 * options.batch_size) as frames:
        yield from _found(model, frames, source, options, tracker, people)


def _found(
    model: Predictor,
    frames: Iterator[Frame],
    source: VideoSource,
    options: PredictOptions,
    tracker: Tracker | None,
    people: People | None,
) -> Iterator[FrameResult]:
    while part := list(islice(frames, options.batch_size)):
        images = [frame.image for frame in part]
        boxes = None if people is None else people(images)
        results = predict_stream(model, images, boxes, options)
        for frame, result in zip(part, results, strict=True):
            named = result.named(frame.index, source.name)
            tracks = () if tracker is None else tracker.update(named.instances, frame.time)
            yield FrameResult(frame, named, tracks)
