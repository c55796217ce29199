"""``mtvit predict`` on a video: a line of JSON and a drawn picture for each frame."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtvit_core.cli.stopping import stopped_by_signals
from mtvit_core.cli.video.options import VideoOptions, free_files
from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.drawing.results import draw_instances
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.predictor import Predictor
from mtvit_core.video.ahead import ahead
from mtvit_core.video.film import Film
from mtvit_core.video.frames import Reading
from mtvit_core.video.predict import FrameResult, People, predict_video
from mtvit_core.video.source import VideoSource
from mtvit_core.video.tracking import TRACK_SCORE, Tracker

#: Exit code of a file that was stopped before its end: 128 + SIGINT.
_INTERRUPTED = 130


@dataclass
class _Done:
    """What was written so far."""

    frames: int = 0
    objects: int = 0
    seconds: float = 0.0


def predict_film(
    model: Predictor,
    people: People | None,
    source: VideoSource,
    out: Path,
    video: VideoOptions,
    options: PredictOptions,
) -> None:
    """Predict a video; every frame that is finished stays, whatever ends it.

    Args:
        model: The model.
        people: Finds people for top-down tasks; None where the model does.
        source: The video.
        out: Folder of the results.
        video: What is wanted.
        options: How results are made.

    Raises:
        DataError: the video cannot be opened, or ended before its end.
        ConfigError: the results cannot be written, or a package is not installed.
    """
    lines, film = free_files(out, source)
    tracker = None
    if video.track:
        tracker = Tracker(TRACK_SCORE if video.track_score is None else video.track_score)
    reading, done = Reading(), _Done()
    found = predict_video(model, source, options, tracker, reading, people)
    try:
        with stopped_by_signals(), ExitStack() as stack:
            results = stack.enter_context(ahead(_limited(found, video.max_frames), options.batch_size))
            writer = _Writer(stack, lines, film if video.draw else None, reading, options.link)
            for result in _shown(results, source, reading, video.max_frames):
                writer.add(result, done)
    except KeyboardInterrupt:
        _report(source, out, reading, done, tracker, film.exists())
        if not source.live:
            click.echo(f"stopped: {source.name}: the frames so far are kept.", err=True)
            raise click.exceptions.Exit(_INTERRUPTED) from None
        return
    except OSError as cause:
        raise ConfigError(
            f"out {out}: it cannot be written ({cause}); {done.frames} frames are kept."
        ) from cause
    _report(source, out, reading, done, tracker, film.exists())
    _complain(source, reading, done)


class _Writer:
    """Writes results as they come: JSON lines, and films of objects and maps."""

    def __init__(
        self, stack: ExitStack, lines: Path, film: Path | None, reading: Reading, by_object: bool
    ) -> None:
        self._stack, self._lines, self._film, self._reading = stack, lines, film, reading
        self._by_object = by_object
        self._file: TextIO | None = None
        self._films: dict[str, Film] = {}
        self._start = time.perf_counter()

    def add(self, found: FrameResult, done: _Done) -> None:
        if self._file is None:  # a video that cannot be read leaves no empty file
            self._file = self._stack.enter_context(self._lines.open("x", encoding="utf-8"))
        self._file.write(json.dumps(found.to_json()) + "\n")
        self._file.flush()
        if self._film is not None:
            self._draw(found)
        done.frames += 1
        done.objects += len(found.result)
        done.seconds = time.perf_counter() - self._start

    def _draw(self, found: FrameResult) -> None:
        assert self._film is not None
        image, instances = found.frame.image, found.result.instances
        drawn = draw_instances(image, instances, by_object=self._by_object, tracks=found.tracks)
        self._named("", self._film).add(drawn, found.frame.time)
        for name, values in found.result.maps.items():
            path = self._film.with_suffix(f".{name}.mp4")
            self._named(name, path).add(draw_map(values, image), found.frame.time)

    def _named(self, name: str, path: Path) -> Film:
        if name not in self._films:
            self._films[name] = self._stack.enter_context(Film(path, self._reading.rate))
        return self._films[name]


def _limited(found: Iterator[FrameResult], most: int | None) -> Iterator[FrameResult]:
    yield from islice(found, most)


def _shown(
    results: Iterable[FrameResult], source: VideoSource, reading: Reading, most: int | None
) -> Iterator[FrameResult]:
    """Show how far it is, where someone looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(source.stem, total=None, rate="")
        start = time.perf_counter()
        for number, result in enumerate(results, start=1):
            yield result
            rate = f"{number / (time.perf_counter() - start):.1f} a second"
            total = reading.total if most is None else min(most, reading.total or most)
            progress.update(bar, completed=number, total=total, rate=rate)


def _report(
    source: VideoSource, out: Path, reading: Reading, done: _Done, tracker: Tracker | None, drawn: bool
) -> None:
    if not done.frames:
        return
    pace = f" in {done.seconds:.1f} s, {done.frames / max(done.seconds, 1e-9):.1f} a second"
    dropped = f", left out as newer ones came: {reading.dropped}" if source.live else ""
    tracks = "" if tracker is None else f", tracks: {tracker.tracks}"
    files = f"{source.stem}.jsonl" + (f" and {source.stem}.mp4" if drawn else "")
    click.echo(f"Frames: {done.frames}{pace}{dropped}; objects: {done.objects}{tracks}. {files} in {out}.")


def _complain(source: VideoSource, reading: Reading, done: _Done) -> None:
    """Say in one line why a video is not whole.

    Raises:
        DataError: it is not.
    """
    if reading.ended:
        raise DataError(
            f"{source.name}: it ended early ({reading.ended}); the {done.frames} frames before are kept."
        )
    if reading.damaged:
        raise DataError(
            f"{source.name}: {reading.damaged} packets are damaged and were left out; the results of all "
            f"other {done.frames} frames are kept."
        )
    if not done.frames:
        raise DataError(f"{source.name}: it holds no frame; check that it plays.")
