"""``mtvit predict``: results of a model for image files, as pictures and one JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.files import whole_file, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from mtvit_core.cli.people import PersonSource
    from mtvit_core.model.multitask_vit import MultiTaskViT
    from mtvit_core.structures.instances import Instances

_JSON = "predictions.json"


@click.command("predict", short_help="Find objects in images: pictures and one JSON.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--min-score", default=0.3, show_default=True, help="Leave out objects below this score.")
@click.option("--tasks", help="Tasks to run, comma-separated. [default: all of the model]")
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="The people to look at: a predictions.json, or a COCO detection file.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="A COCO annotation file with the ids of the images, for --boxes that names images by ids.",
)
@click.option("--detector", type=click.Path(path_type=Path), help="Another model that finds the people.")
@click.option(
    "--person-score",
    type=float,
    help="Least score of people found by --detector, or by another task of MODEL.  [default: 0.3]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--batch-size", default=8, show_default=True, type=click.IntRange(min=1), help="Images per pass."
)
@click.option(
    "--link/--no-link",
    default=True,
    show_default=True,
    help="One object for what several tasks found of it, or one for each task.",
)
@click.option(
    "--min-link",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Least agreement of results that are one object.",
)
@verbose_option
def predict_command(
    model: Path,
    images: tuple[Path, ...],
    out: Path,
    min_score: float,
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
    from mtvit_core.device import pick_device
    from mtvit_core.inference.people import PERSON_SCORE
    from mtvit_core.model.checkpoint import load
    from mtvit_core.structures.image_files import find_images

    paths = find_images(images)
    pictures = _outputs(paths, out)
    _check_headers(paths)
    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    place = pick_device(device)
    loaded = load(model, names).to(place)
    least = PERSON_SCORE if person_score is None else person_score
    people = person_source(loaded, model, paths, boxes, annotations, detector, least, place)
    finder = _Finder(loaded, people, min_score, least, link, min_link)
    out.mkdir(parents=True, exist_ok=True)
    results: list[Instances] = []
    damaged: list[DataError] = []
    for part in _parts(len(paths), batch_size):
        found, unread = _predict_part(finder, paths, pictures, part)
        results += found
        damaged += unread
    write_text(out / _JSON, json.dumps([result.to_json() for result in results], indent=1) + "\n")
    objects = sum(len(result) for result in results)
    click.echo(f"Images: {len(results)}, objects: {objects}. Pictures and {_JSON} are in {out}.")
    if damaged:
        raise DataError(f"{len(damaged)} of {len(paths)} images were left out: {damaged[0]}")


def _outputs(paths: Sequence[Path], out: Path) -> list[Path]:
    """Name the picture of each image; nothing that is there already is overwritten."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"out {out}: this is a file; give a folder.")
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
            raise ConfigError(f"out {out}: {target.name} is there already; give another folder with --out.")
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
            f"{errors[0]} {len(errors) - 1} more of {len(paths)} images cannot be read; nothing was done."
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
    min_score: float
    person_score: float
    link: bool
    min_link: float

    def __call__(self, rows: Sequence[int], images: "list[Tensor]") -> "list[Instances]":
        boxes = None if self.people is None else self.people(rows, images)
        return self.model.predict(
            images, boxes, self.min_score, max(1, len(images)), self.person_score, self.link, self.min_link
        )


def _predict_part(
    finder: _Finder, paths: Sequence[Path], pictures: Sequence[Path], part: range
) -> "tuple[list[Instances], list[DataError]]":
    import numpy as np

    from mtvit_core.drawing.results import draw_instances
    from mtvit_core.structures.image_files import read_image

    images: dict[int, Tensor] = {}
    damaged = []
    for i in part:
        try:
            images[i] = read_image(paths[i])
        except DataError as error:
            damaged.append(error)
    found = finder(list(images), list(images.values()))
    results = [replace(result, file_name=str(paths[i])) for i, result in zip(images, found, strict=True)]
    for i, result in zip(images, results, strict=True):
        with whole_file(pictures[i]) as picture:
            # Full colour resolution: thin coloured lines would be smeared otherwise.
            draw_instances(images[i], result, by_object=finder.link).save(picture, quality=92, subsampling=0)
        for name, values in result.maps.items():
            with whole_file(pictures[i].with_suffix(f".{name}.npy")) as map_:
                np.save(map_, values.cpu().numpy())
    return results, damaged
