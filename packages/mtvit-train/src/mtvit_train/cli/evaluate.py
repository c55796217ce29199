"""``mtvit evaluate MODEL --data DIR``: score a saved model, or what its backbone alone knows of images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mtvit_core.structures.categories import Categories, Category


@click.command("evaluate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A data folder, or a data.yaml.")
@click.option("--split", default="val", show_default=True, type=click.Choice(["train", "val"]), help="Split.")
@click.option(
    "--boxes",
    type=click.Path(path_type=Path),
    help="For top-down tasks: a COCO detection file or predictions.json.  [default: the annotated boxes]",
)
@click.option("--config", help="A TOML file that says how to read and to score the data: reader, [coco], ...")
@click.option(
    "--out", type=click.Path(path_type=Path), help="JSON file for metrics; details are written next to it."
)
@click.option(
    "--min-score",
    default=0.3,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Leave out results with lower scores from confusion matrices and mistake counts.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="TASK.A=VALUE",
    help="Change a setting of a task that its weights do not depend on; may be repeated. With --knn and "
    "--linear: a setting of reading data, or of the backbone (model.image_size=[224,224]).",
)
@click.option("--knn", is_flag=True, help="Score the backbone: image classes by a vote of nearest images.")
@click.option("--linear", is_flag=True, help="Score the backbone: image classes by a linear probe.")
@click.option(
    "--neighbours",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Training images that vote with --knn.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A file of weights, where MODEL is the name of a backbone.  [default: the published ones]",
)
@click.option("--tasks", help="Tasks to score, comma-separated. [default: all of the model]")
@click.option("--batch-size", default=25, show_default=True, help="Images per pass.")
@click.option("--engine", help="What counts: hotcoco, or pycocotools.  [default: evaluation.engine]")
@click.option(
    "--max-dets",
    type=click.IntRange(min=1),
    help="Results of an image and a category that count.  [default: evaluation.max_dets]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def evaluate_command(
    model: Path,
    data: Path,
    split: str,
    boxes: Path | None,
    config: str | None,
    out: Path | None,
    min_score: float,
    assignments: tuple[str, ...],
    knn: bool,
    linear: bool,
    neighbours: int,
    weights: Path | None,
    tasks: str | None,
    batch_size: int,
    engine: str | None,
    max_dets: int | None,
    device: str,
) -> None:
    """Evaluate MODEL on a dataset and print its metrics; --out also writes JSON.

    With --knn and --linear, MODEL is a model whose backbone is scored, or the name of a backbone. Images of
    the training split teach, those of the validation split are asked; both need classes of whole images.
    """
    from rich.console import Console

    from mtvit_core.config import apply_set
    from mtvit_core.deploy.load import load
    from mtvit_core.errors import ConfigError
    from mtvit_train.build.data import read_split
    from mtvit_train.build.splits import make_split, with_boxes
    from mtvit_train.cli.probed_backbone import methods_of, refuse_unused, scores_of_backbone, tell_scores
    from mtvit_train.config.run import read_run
    from mtvit_train.data.merging.fit_to_model import fit
    from mtvit_train.engine.evaluate import evaluate_in_detail
    from mtvit_train.recording.records import write_details, write_json
    from mtvit_train.recording.terminal import metrics_table

    beside = None if out is None else out.with_name(f"{out.stem}.details.json")
    for path in (out, beside):
        if path is not None and path.exists():
            raise ConfigError(f"out {path}: already exists; give another file with --out.")
    if knn or linear:
        unused = {"--tasks": tasks, "--boxes": boxes, "--engine": engine, "--max-dets": max_dets}
        unused["--split train"] = "train" if split == "train" else None
        refuse_unused(unused)
        scores = scores_of_backbone(
            model, data, config, assignments, weights, methods_of(knn, linear), neighbours, batch_size, device
        )
        tell_scores(scores, out)
        return
    if weights is not None:
        raise ConfigError("--weights belongs to a backbone; give --knn or --linear, or leave it out.")
    given = {"engine": engine, "max_dets": max_dets}
    scoring = tuple(f"evaluation.{key}={value}" for key, value in given.items() if value is not None)
    run = read_run(config, {"data": str(data)}, scoring)
    names = [name.strip() for name in tasks.split(",")] if tasks else None
    loaded = load(model, names, apply_set({}, assignments), device)
    packed = read_split(run, data, "train" if split == "train" else "val")
    if not fits(packed.categories, loaded.categories):
        raise ConfigError(mismatch(loaded.categories, packed.categories, model, data))
    packed = fit(packed, loaded.categories, "id", f"data {data}")
    data_split = make_split(run, loaded, packed, training=False)
    if boxes is not None:
        data_split = with_boxes(data_split, loaded, boxes)
    how = run.evaluation
    found = evaluate_in_detail(
        loaded, data_split, batch_size, min_score=min_score, engine=how.engine, max_dets=how.max_dets
    )
    Console().print(metrics_table(found.metrics))
    if out is not None and beside is not None:
        write_json(out, found.metrics)
        write_details(beside, found.details)


def fits(found: "Categories", known: "Categories") -> bool:
    """Tell whether a model knows every category of a data set by its id, its name and its keypoints."""
    by_id = {category.id: category for category in known}
    return all(category.id in by_id and _agrees(category, by_id[category.id]) for category in found)


def _agrees(found: "Category", known: "Category") -> bool:
    if found.keypoints is None or found.name != known.name:
        return found.name == known.name
    return known.keypoints is not None and found.keypoints.names == known.keypoints.names


def mismatch(ours: "Categories", theirs: "Categories", model: Path, data: Path) -> str:
    """Say how the categories of a model and of a data set differ."""
    known, found = {c.id: c.name for c in ours}, {c.id: c.name for c in theirs}
    odd = next((i for i in sorted(found) if known.get(i) != found[i]), None)
    if odd is None:
        detail = "ids and names agree, but their order or keypoint schemas do not"
    else:
        detail = f"id {odd} is {known.get(odd)!r} in the model and {found.get(odd)!r} in the data"
    return (
        f"checkpoint {model}: its {len(known)} categories do not fit the {len(found)} of {data}: {detail}; "
        "evaluate on data with the categories it was trained on."
    )
