"""``mtvit predict``: results of a model for image files, as pictures and one JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.one_line_errors import verbose_option

if TYPE_CHECKING:
    from torch import Tensor

    from mtvit_core.instances import Instances
    from mtvit_core.model import MultiTaskViT

_JSON = "predictions.json"


@click.command("predict", short_help="Find objects in images: pictures and one JSON.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the results.")
@click.option("--min-score", default=0.3, show_default=True, help="Leave out objects below this score.")
@click.option("--tasks", help="Tasks to run, comma-separated. [default: all of the model]")
@click.option(
    "--boxes", type=click.Path(path_type=Path), help="A predictions.json with the people to look at."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--batch-size", default=8, show_default=True, type=click.IntRange(min=1), help="Images per pass."
)
@verbose_option
def predict_command(
    model: Path,
    images: tuple[Path, ...],
    out: Path,
    min_score: float,
    tasks: str | None,
    boxes: Path | None,
    device: str,
    batch_size: int,
) -> None:
    """Run MODEL on IMAGES (files or folders): one picture each, and all results in predictions.json.

    The headers of all images are checked before the work starts. An image whose pixels then turn out to be
    damaged is named at the end, with exit code 2; the results of the others are kept.
    """
    from mtvit_core.checkpoint import load
    from mtvit_core.device import pick_device
    from mtvit_core.images import find_images
    from mtvit_core.person_boxes import read_person_boxes

    paths = find_images(images)
    pictures = _outputs(paths, out)
    _check_headers(paths)
    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    loaded = load(model, names).to(pick_device(device))
    people = None if boxes is None else read_person_boxes(boxes, paths, loaded.categories)
    if people is not None and "person" not in loaded.views:
        raise ConfigError(
            f"boxes {boxes}: no task of {model} looks at one person at a time; leave --boxes out."
        )
    out.mkdir(parents=True, exist_ok=True)
    results: list[Instances] = []
    damaged: list[DataError] = []
    for part in _parts(len(paths), batch_size):
        chosen = None if people is None else people[part]
        found, unread = _predict_part(loaded, paths[part], pictures[part], chosen, min_score)
        results += found
        damaged += unread
    _write_json(out / _JSON, [result.to_json() for result in results])
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
    from mtvit_core.images import image_size

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


def _parts(count: int, size: int) -> Iterable[slice]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    parts = [slice(start, start + size) for start in range(0, count, size)]
    return track(parts, "predict", console=console, disable=not console.is_terminal)


def _predict_part(
    model: "MultiTaskViT",
    paths: Sequence[Path],
    pictures: Sequence[Path],
    people: "Sequence[Tensor] | None",
    min_score: float,
) -> "tuple[list[Instances], list[DataError]]":
    from mtvit_core.drawing import draw_instances
    from mtvit_core.images import read_image
    from mtvit_core.predict import predict

    images: dict[int, Tensor] = {}
    damaged = []
    for i, path in enumerate(paths):
        try:
            images[i] = read_image(path)
        except DataError as error:
            damaged.append(error)
    boxes = None if people is None else [people[i] for i in images]
    found = predict(model, list(images.values()), boxes, min_score, batch_size=len(paths))
    results = [replace(result, file_name=str(paths[i])) for i, result in zip(images, found, strict=True)]
    for i, result in zip(images, results, strict=True):
        # Full colour resolution: thin coloured lines would be smeared otherwise.
        draw_instances(images[i], result).save(pictures[i], quality=92, subsampling=0)
    return results, damaged


def _write_json(path: Path, data: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
