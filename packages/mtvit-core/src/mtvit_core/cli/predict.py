"""``mtvit predict``: results of a model for image files, as pictures and one JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from mtvit_core.cli.people import PersonSource
    from mtvit_core.cli.result_files import JsonList
    from mtvit_core.inference.options import PredictOptions
    from mtvit_core.model.multitask_vit import MultiTaskViT
    from mtvit_core.structures.image_result import ImageResult

_JSON = "predictions.json"


@click.command("predict", short_help="Run a model on images; write pictures and JSON.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
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
@verbose_option
def predict_command(
    model: Path,
    images: tuple[Path, ...],
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
) -> None:
    """Run MODEL on IMAGES (files or folders): one picture each, and all results in predictions.json.

    The headers of all images are checked before the work starts. An image whose pixels then turn out to be
    damaged is named at the end, with exit code 2; the results of the others are kept.
    """
    from mtvit_core.cli.people import person_source
    from mtvit_core.cli.result_files import json_list
    from mtvit_core.config import apply_set
    from mtvit_core.device import pick_device
    from mtvit_core.inference.options import PredictOptions
    from mtvit_core.inference.people import PERSON_SCORE
    from mtvit_core.model.checkpoint import load
    from mtvit_core.structures.image_files import find_images

    paths = find_images(images)
    pictures = _outputs(paths, out)
    _check_headers(paths)
    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    place = pick_device(device)
    loaded = load(model, names, apply_set({}, assignments)).to(place)
    least = PERSON_SCORE if person_score is None else person_score
    options = PredictOptions(
        min_score=min_score,
        part_score=part_score,
        batch_size=batch_size,
        person_score=least,
        link=link,
        min_link=min_link,
    )
    people = person_source(loaded, model, paths, boxes, annotations, detector, least, place)
    finder = _Finder(loaded, people, options)
    out.mkdir(parents=True, exist_ok=True)
    counts = Counts()
    with json_list(out / _JSON) as entries:
        for part in _parts(len(paths), batch_size):
            _predict_part(finder, paths, pictures, part, entries, counts)
    click.echo(f"Images: {counts.images}, objects: {counts.objects}. Pictures and {_JSON} are in {out}.")
    if counts.damaged:
        raise DataError(f"{len(counts.damaged)} of {len(paths)} images were left out: {counts.damaged[0]}")


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


def _outputs(paths: Sequence[Path], out: Path) -> list[Path]:
    """Name the picture of each image; nothing that is there already is overwritten."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"out {out}: is a file; give a folder.")
    taken: dict[Path, Path] = {}
    for path in paths:
        target = out / f"{path.stem}.jpg"
        if target in taken:
            raise ConfigError(
                f"images {taken[target]} and {path}: both would be written to {target}; "
                "predict them into separate folders."
            )
        taken[target] = path
    for target in (out / _JSON, *taken):
        if target.exists():
            raise ConfigError(f"out {out}: {target.name} already exists; give another folder with --out.")
    return list(taken)


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


def _parts(count: int, size: int) -> Iterable[range]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    return track(parts, "predict", console=console, disable=not console.is_terminal)


@dataclass(frozen=True)
class _Finder:
    """What is run on every part of the images."""

    model: "MultiTaskViT"
    people: "PersonSource | None"
    options: "PredictOptions"

    def __call__(self, rows: Sequence[int], images: "list[Tensor]") -> "list[ImageResult]":
        boxes = None if self.people is None else self.people(rows, images)
        return list(self.model.predict_stream(images, boxes, self.options))


def _predict_part(
    finder: _Finder,
    paths: Sequence[Path],
    pictures: Sequence[Path],
    part: range,
    entries: "JsonList",
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
        entries.add(write_pictures(image, named, pictures[i], finder.options.link))
        counts.images += 1
        counts.objects += len(result)
