"""``mtvit predict``: results of a model for image files, as pictures and one JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.cli.stopping import STOPPED, stopped_by_signals
from mtvit_core.cli.video.options import VideoOptions, free_files, one_video, video_options
from mtvit_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from mtvit_core.cli.image_tree import ImageTree
    from mtvit_core.cli.people import PersonSource
    from mtvit_core.cli.result_files import FinishedList
    from mtvit_core.deploy.exported import ExportedModel
    from mtvit_core.inference.options import PredictOptions
    from mtvit_core.model.multitask_vit import MultiTaskViT
    from mtvit_core.results.image_result import ImageResult
    from mtvit_core.video.predict import People

_JSON, _FINISHED = "predictions.json", "predictions.partial.jsonl"


@click.command("predict", short_help="Run a model on images; write pictures and JSON.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--min-score", default=0.3, show_default=True, help="Leave out results with lower scores.")
@click.option(
    "--part-score",
    type=click.FloatRange(0, 1),
    help="Lowest score of parts of a linked object.  [default: --min-score]",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="TASK.A=VALUE",
    help="Change a setting of a task that its weights do not depend on; may be repeated.",
)
@click.option("--tasks", help="Tasks to run, comma-separated. [default: all of the model]")
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="People to crop for top-down tasks: a predictions.json or a COCO detection file.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="COCO annotation file with the image ids that --boxes uses.",
)
@click.option("--detector", type=click.Path(path_type=Path), help="Model that finds the people.")
@click.option(
    "--person-score",
    type=float,
    help="Lowest score of people found by --detector or by another task of MODEL.  [default: 0.3]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--batch-size", default=8, show_default=True, type=click.IntRange(min=1), help="Images per pass."
)
@click.option(
    "--link/--no-link",
    default=True,
    show_default=True,
    help="Combine the results of all tasks for an object into one, or keep one per task.",
)
@click.option(
    "--min-link",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Lowest agreement of results that are linked.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped in the folder of --out.")
@video_options
@verbose_option
def predict_command(
    model: Path,
    images: tuple[str, ...],
    out: Path,
    min_score: float,
    part_score: float | None,
    assignments: tuple[str, ...],
    tasks: str | None,
    boxes: Path | None,
    annotations: Path | None,
    detector: Path | None,
    person_score: float | None,
    device: str,
    batch_size: int,
    link: bool,
    min_link: float,
    resume: bool,
    video: VideoOptions,
) -> None:
    """Run MODEL on IMAGES (files or folders): one picture each, and all results in predictions.json.

    IMAGES may also be one video: a file, an address as rtsp://camera/stream, or 0 for the first camera. It
    gives a drawn video and a line of JSON for each frame.

    Folders are searched with all folders below them, which the pictures keep. The headers of all images are
    checked before the work starts. An image whose pixels then turn out to be damaged is named at the end,
    with exit code 2; the results of the others are kept. So are those of a run that is stopped, by Ctrl-C,
    SIGTERM or a full disk; --resume goes on with it.
    """
    from mtvit_core.cli.image_tree import image_tree, pictures_of, writable
    from mtvit_core.cli.video.predict import predict_film
    from mtvit_core.inference.options import PredictOptions
    from mtvit_core.inference.people import PERSON_SCORE

    if out.exists() and not out.is_dir():
        raise ConfigError(f"out {out}: is a file; give a folder.")
    options = PredictOptions(
        min_score=min_score,
        part_score=part_score,
        batch_size=batch_size,
        person_score=PERSON_SCORE if person_score is None else person_score,
        link=link,
        min_link=min_link,
    )
    source = PeopleFrom(boxes, annotations, detector)
    images_only = {"resume": resume, "boxes": boxes is not None, "annotations": annotations is not None}
    film = one_video(images, video, images_only, link)
    if film is not None:
        free_files(out, film)
        with writable(out):
            finder = _finder(model, tasks, assignments, device, (), source, options)
            predict_film(finder.model, finder.of_frames, film, out, video, options)
        return
    tree = image_tree([Path(image) for image in images], out)
    pictures = pictures_of(tree, out)
    _check_free(out, pictures, resume)
    _check_headers(tree.images)
    with writable(out):
        finder = _finder(model, tasks, assignments, device, tree.images, source, options)
        settings = _settings(model, tasks, assignments, source, options)
        counts = _predict_all(finder, tree.images, pictures, out, settings)
    _report(tree, counts, out)


@dataclass(frozen=True)
class PeopleFrom:
    """Where people are taken from, see ``cli.people``."""

    boxes: Path | None
    annotations: Path | None
    detector: Path | None


def _settings(
    model: Path, tasks: str | None, changed: Sequence[str], people: PeopleFrom, options: "PredictOptions"
) -> dict[str, Any]:
    """What results depend on."""
    told = {"model": str(model), "tasks": tasks, "set": [*changed], **asdict(people), **asdict(options)}
    del told["batch_size"]
    return {name: str(value) if isinstance(value, Path) else value for name, value in told.items()}


def _finder(
    model: Path,
    tasks: str | None,
    changed: Sequence[str],
    device: str,
    paths: Sequence[Path],
    people: PeopleFrom,
    options: "PredictOptions",
) -> "_Finder":
    from mtvit_core.cli.people import person_source
    from mtvit_core.config import apply_set
    from mtvit_core.deploy.load import load

    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    loaded = load(model, names, apply_set({}, changed), device)
    source = person_source(
        loaded, model, paths, people.boxes, people.annotations, people.detector, options.person_score, device
    )
    return _Finder(loaded, source, options)


def _predict_all(
    finder: "_Finder", paths: Sequence[Path], pictures: Sequence[Path], out: Path, settings: Mapping[str, Any]
) -> "Counts":
    """Predict what is not yet there; a run that ends early leaves what it has, and says how to go on."""
    from mtvit_core.cli.result_files import FinishedList

    counts = Counts()
    finished = FinishedList(out / _FINISHED, settings)
    left = [i for i, path in enumerate(paths) if str(path) not in finished]
    try:
        with stopped_by_signals():
            for part in _parts(left, finder.options.batch_size):
                _predict_part(finder, paths, pictures, part, finished, counts)
            finished.end(out / _JSON, [str(path) for path in paths])
    except (KeyboardInterrupt, OSError) as cause:
        so_far = f"{len(finished)} of {len(paths)} images are done; go on with --resume."
        if isinstance(cause, OSError):
            raise ConfigError(f"out {out}: it cannot be written ({cause}); {so_far}") from cause
        click.echo(f"stopped: {so_far}", err=True)
        raise click.exceptions.Exit(STOPPED) from None
    counts.images, counts.objects = len(finished), finished.objects
    return counts


def _report(tree: "ImageTree", counts: "Counts", out: Path) -> None:
    click.echo(f"Images: {counts.images}, objects: {counts.objects}. Pictures and {_JSON} are in {out}.")
    if tree.left_out:
        names = ", ".join(str(path) for path in tree.left_out[:3])
        more = f" and {len(tree.left_out) - 3} more" if len(tree.left_out) > 3 else ""
        click.echo(
            f"Left out, as their endings are none of images: {len(tree.left_out)} files: {names}{more}."
        )
    if counts.damaged:
        also = "".join(f" Also: {str(error).split(': ')[0]}." for error in counts.damaged[1:4])
        total = len(tree.images)
        raise DataError(f"{len(counts.damaged)} of {total} images were left out: {counts.damaged[0]}{also}")


@dataclass
class Counts:
    """What was done so far.

    Attributes:
        images: Images with a result.
        objects: Objects found in them.
        damaged: Why the other images have none.
    """

    images: int = 0
    objects: int = 0
    damaged: list[DataError] = field(default_factory=list)


def _check_free(out: Path, pictures: Sequence[Path], resume: bool) -> None:
    """Refuse to overwrite what is there, but the pictures of a run that goes on."""
    unfinished = (out / _FINISHED).exists()
    if unfinished and not resume:
        raise ConfigError(f"out {out}: a run was stopped here; go on with --resume, or give another folder.")
    if resume and not unfinished:
        raise ConfigError(f"out {out}: no run was stopped here; leave --resume out.")
    for target in (out / _JSON, *(() if resume else pictures)):
        if target.exists():
            name = target.relative_to(out)
            raise ConfigError(f"out {out}: {name} already exists; give another folder with --out.")


def _check_headers(paths: Sequence[Path]) -> None:
    from mtvit_core.structures.image_files import image_size

    errors = []
    for path in paths:
        try:
            image_size(path)
        except DataError as error:
            errors.append(error)
    if len(errors) > 1:
        raise DataError(
            f"{errors[0]} {len(errors) - 1} more of {len(paths)} images cannot be read; "
            "nothing was predicted."
        )
    if errors:
        raise errors[0]


def _parts(left: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    parts = [left[start : start + size] for start in range(0, len(left), size)]
    return track(parts, "predict", console=console, disable=not console.is_terminal)


@dataclass(frozen=True)
class _Finder:
    """What is run on every part of the images."""

    model: "MultiTaskViT | ExportedModel"
    people: "PersonSource | None"
    options: "PredictOptions"

    @property
    def of_frames(self) -> "People | None":
        """Finds people in images that come as they come."""
        source = self.people
        return None if source is None else lambda images: source(range(len(images)), images)

    def __call__(self, rows: Sequence[int], images: "list[Tensor]") -> "list[ImageResult]":
        boxes = None if self.people is None else self.people(rows, images)
        return list(self.model.predict_stream(images, boxes, self.options))


def _predict_part(
    finder: _Finder,
    paths: Sequence[Path],
    pictures: Sequence[Path],
    part: Sequence[int],
    finished: "FinishedList",
    counts: Counts,
) -> None:
    from mtvit_core.cli.result_files import write_pictures
    from mtvit_core.structures.image_files import read_image

    images: dict[int, Tensor] = {}
    for i in part:
        try:
            images[i] = read_image(paths[i])
        except DataError as error:
            counts.damaged.append(error)
    found = finder(list(images), list(images.values()))
    for (i, image), result in zip(images.items(), found, strict=True):
        named = result.named(0, str(paths[i]))
        finished.add(write_pictures(image, named, pictures[i], finder.options.link))
