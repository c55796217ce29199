"""Options of ``mtvit predict`` for videos, and which video they are about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mtvit_core.errors import ConfigError
from mtvit_core.video.source import VideoSource, video_source


@dataclass(frozen=True)
class VideoOptions:
    """What is wanted of a video.

    Attributes:
        track: Whether objects are numbered, the same in all frames.
        track_score: Least score of an object that begins a track; None for the usual one.
        draw: Whether a drawn video is written.
        max_frames: Frames after which it ends; None for all.
    """

    track: bool
    track_score: float | None
    draw: bool
    max_frames: int | None

    def given(self) -> str | None:
        """Return the name of an option that was given and is about videos alone; None for none."""
        names = {
            "track": self.track,
            "track-score": self.track_score is not None,
            "no-draw": not self.draw,
            "max-frames": self.max_frames is not None,
        }
        return next((name for name, is_given in names.items() if is_given), None)


def video_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets them as ``video``."""

    @click.option("--track", is_flag=True, help="Of a video: number objects, the same in all frames.")
    @click.option(
        "--track-score",
        type=click.FloatRange(0, 1),
        help="Of a video: lowest score of an object that begins a track.  [default: 0.5]",
    )
    @click.option("--draw/--no-draw", default=True, show_default=True, help="Of a video: write a drawn one.")
    @click.option("--max-frames", type=click.IntRange(min=1), help="Of a video: stop after so many frames.")
    @wraps(command)
    def with_video(
        *, track: bool, track_score: float | None, draw: bool, max_frames: int | None, **others: Any
    ) -> None:
        command(video=VideoOptions(track, track_score, draw, max_frames), **others)

    return with_video


def one_video(
    given: Sequence[str], options: VideoOptions, others: Mapping[str, bool], linked: bool
) -> VideoSource | None:
    """Return the video that a command is given; None where it is given images.

    Args:
        given: What the command is given.
        options: Those for videos.
        others: Options that are not for videos, and whether they are given.
        linked: Whether results are one row per object.

    Raises:
        ConfigError: there are several videos, or images beside one, or an option does not fit.
    """
    sources = [source for source in map(video_source, given) if source is not None]
    if not sources:
        name = options.given()
        if name is not None:
            raise ConfigError(f"{name}: it is about videos, and {given[0]} is none; leave --{name} out.")
        return None
    if len(given) > 1:
        raise ConfigError(f"{sources[0].name}: a video is predicted alone; run the command once for each.")
    name = next((name for name, is_given in others.items() if is_given), None)
    if name is not None:
        raise ConfigError(
            f"{name}: it is about images, and {sources[0].name} is a video; leave --{name} out."
        )
    if options.track and not linked:
        raise ConfigError("track: it follows objects, not what each task finds; leave --no-link out.")
    if options.track_score is not None and not options.track:
        raise ConfigError("track-score: nothing is tracked; give --track too.")
    return sources[0]


def free_files(out: Path, source: VideoSource) -> tuple[Path, Path]:
    """Return the files of the results and of the drawn video.

    Raises:
        ConfigError: one of them is there.
    """
    files = out / f"{source.stem}.jsonl", out / f"{source.stem}.mp4"
    for file in files:
        if file.exists():
            raise ConfigError(f"out {out}: {file.name} already exists; give another folder with --out.")
    return files
