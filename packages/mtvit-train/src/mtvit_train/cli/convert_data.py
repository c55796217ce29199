"""``mtvit-train convert-data SOURCE --out DIR``: a data set, or predictions, as a COCO data set."""

from pathlib import Path

import click


@click.command("convert-data")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write; must be new.")
@click.option("--config", help="A TOML file that says how to read the data: reader, [coco], [keypoints].")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
@click.option("--images/--no-images", default=True, show_default=True, help="Copy the image files too.")
@click.option(
    "--min-score", default=0.3, show_default=True, help="Predictions: leave out objects with lower scores."
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Predictions: their model, for the names of keypoints."
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="COCO results: the COCO file that lists their images and categories.",
)
def convert_data(
    source: Path,
    out: Path,
    config: str | None,
    assignments: tuple[str, ...],
    images: bool,
    min_score: float,
    model: Path | None,
    annotations: Path | None,
) -> None:
    """Write SOURCE as a COCO dataset.

    SOURCE is a dataset of any layout that training reads: a folder, or Ultralytics' data.yaml. Or it is the
    predictions.json (or .jsonl) of `mtvit predict`, or a list of COCO results; then the dataset is one that
    CVAT, Label Studio and FiftyOne import for pre-labelling.
    """
    if source.suffix in (".json", ".jsonl") and source.is_file():
        _convert_predictions(source, out, min_score, model, annotations, images=images)
    else:
        _convert_data_set(source, out, config, assignments, images=images)


def _convert_data_set(
    source: Path, out: Path, config: str | None, assignments: tuple[str, ...], *, images: bool
) -> None:
    from mtvit_core.errors import ConfigError
    from mtvit_train.build.data import notes_of_reading, read_outlines, read_split
    from mtvit_train.config.run import read_run
    from mtvit_train.conversion.coco_set import CocoSplit, write_coco
    from mtvit_train.conversion.data_sets import coco_split
    from mtvit_train.data.near_names import near_path

    if not source.exists():
        raise ConfigError(
            f"convert-data: {source}: no such file or folder; check the path.{near_path(source)}"
        )
    run = read_run(config, {"data": str(source)}, assignments)
    written: dict[str, CocoSplit] = {}
    for split in ("train", "val"):
        packed = read_split(run, source, split)
        if packed.layout and split == "train":
            click.echo(packed.layout)
        for note in notes_of_reading(packed, split):
            click.echo(note)
        written[split], left_out = coco_split(packed, split, read_outlines(run, source, split))
        if left_out:
            click.echo(f"{split}: {left_out} images without a label are left out.")
    write_coco(out, written, "images/{split}" if images else "")
    for name, one in written.items():
        click.echo(f"{name}: {len(one.images)} images, {len(one.annotations)} objects.")
    click.echo(f"Train on it: mtvit-train --data {out}")


def _convert_predictions(
    source: Path, out: Path, min_score: float, model: Path | None, annotations: Path | None, *, images: bool
) -> None:
    from mtvit_core.errors import DataError
    from mtvit_core.model.checkpoint import load
    from mtvit_train.conversion.coco_set import write_coco
    from mtvit_train.conversion.predictions import coco_predictions, read_predictions

    found = read_predictions(source, annotations)
    known = None if model is None else load(model).categories
    split, objects = coco_predictions(found, min_score, known, None)
    lacking = [path for path in split.files.values() if not path.is_file()] if images else []
    if lacking:
        raise DataError(
            f"{lacking[0]}: no such image file ({len(lacking)} of {len(split.files)} are missing); run this "
            "where the predictions were made, or leave images out by --no-images."
        )
    write_coco(out, {"default": split}, "images/{split}" if images else "")
    click.echo(
        f"{len(split.images)} images, {objects} objects with a score of at least {min_score:g}. Import "
        f"{out / 'annotations' / 'instances_default.json'}."
    )
