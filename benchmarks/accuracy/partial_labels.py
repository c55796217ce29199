"""Half of the images with boxes only and half with keypoints only, against images that carry both.

    python -m benchmarks.accuracy.partial_labels --out partial --threads 2
    python -m benchmarks.accuracy.partial_labels --out sources --threads 2 --grey --arms partial empty

Three runs of the demo's recipe (det and pose) on scenes, scored on the same fully labelled images:

    full     N / 2 images, boxes and keypoints
    partial  N images: the same N / 2 with boxes only, N / 2 others with keypoints only
    empty    as partial, but an image without a kind of label counts as an image without such objects

``partial`` and ``empty`` take twice the images per update, so that all runs see as many labelled objects of
each task in as many updates. ``empty`` is a switch of this script: the trainer has none.

With ``--grey`` the images with keypoints come from another source, as they do where somebody joins two data
sets: they have no colours. All arms are scored on coloured and on grey scenes.

Beside AP, which asks only in which order results come, F1 says what a user gets who keeps the results of a
score of 0.3 or more, the default of ``mtvit predict``: objects of the right class found at IoU (or OKS) 0.5.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from PIL import Image
from rich.console import Console

from mtvit_core.structures.annotations import Annotations
from mtvit_train.build.data import read_data, read_split
from mtvit_train.build.label_counts import exposures, show_exposures
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.engine.evaluate import Evaluation, evaluate_in_detail
from mtvit_train.engine.trainer import Trainer
from mtvit_train.recording.terminal import Display
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

ARMS = ("full", "partial", "empty")
#: What is printed of each arm.
METRICS = tuple(f"{task}/{name}" for task in ("det", "pose") for name in ("AP", "AP50", "recall", "F1"))
#: Least score of the results that count for recall and F1.
MIN_SCORE = 0.3


def settings(
    arm: str, out: Path, steps: int | None, threads: int, seed: int, more: Sequence[str]
) -> RunConfig:
    """Return the demo's settings on the data of an arm."""
    first, second = str(out / "first"), str(out / "second")
    half = [
        {"path": first, "labels": ["boxes"]},
        {"path": second, "labels": ["keypoints"], "evaluate": False},
    ]
    given = {"plugins": ("det", "pose"), "data": first if arm == "full" else half, "steps": steps}
    batch = read_run("scenes-demo", {}, more).train.batch_size * (1 if arm == "full" else 2)
    own = [f"train.threads={threads}", f"train.seed={seed}", f"train.batch_size={batch}"]
    return read_run("scenes-demo", given, (*more, *own))


def emptied(
    targets: Callable[..., Any], needs: frozenset[str], images: Sequence[Annotations], *rest: Any
) -> Any:
    """Make the targets of a task as if an image that lacks its labels were one without objects."""
    return targets([image if image.has >= needs else without_objects(image) for image in images], *rest)


def without_objects(image: Annotations) -> Annotations:
    """Return an image that is said to be labelled, and to show nothing."""
    nothing = slice(0, 0)
    keypoints = image.boxes.new_zeros(0, 17, 3) if image.keypoints is None else image.keypoints[nothing]
    return replace(
        image,
        boxes=image.boxes[nothing],
        labels=image.labels[nothing],
        masks=None,
        keypoints=keypoints,
        is_crowd=image.is_crowd[nothing],
        areas=image.areas[nothing],
        ids=image.ids[nothing],
        has=frozenset({"boxes", "keypoints"}),
    )


def scores(found: Evaluation) -> dict[str, float]:
    """Return the metrics, and recall and F1 from the counts of each task's confusion matrix."""
    metrics = dict(found.metrics)
    for task in ("det", "pose"):
        (matrix,) = found.details[task].matrices
        counts = torch.tensor(matrix.counts)
        right, true, results = counts.diagonal()[:-1].sum(), counts[:-1].sum(), counts[:, :-1].sum()
        metrics[f"{task}/recall"] = float(right / true)
        metrics[f"{task}/F1"] = float(2 * right / (true + results))
    return metrics


def turn_grey(folder: Path) -> None:
    """Take the colours out of all images of a data set."""
    for path in sorted(folder.glob("*2017/*.png")):
        Image.open(path).convert("L").convert("RGB").save(path)


def train(
    arm: str, config: RunConfig, out: Path, sources: Sequence[str], console: Console
) -> dict[str, float]:
    """Train one arm, and score it on the validation images of these sources with all their labels.

    Metrics of the first source have no prefix, those of another its name.
    """
    torch.set_num_threads(config.train.threads)
    data = read_data(config, out / "first")
    model = make_model(config, data.train.categories)
    split = make_split(config, model, data.train, training=True)
    show_exposures(exposures(config, model, split), data.notes, console)
    trainer = Trainer(model, split, config.train, make_weighting(config, task_names(config)))
    if arm == "empty":
        for task in model.task_list:
            task.targets = partial(emptied, task.targets, task.needs)  # type: ignore[method-assign]
    wholes = [read_split(config.model_copy(update={"data": str(out / s)}), out / s, "val") for s in sources]
    truths = [make_split(config, model, whole, training=False) for whole in wholes]
    found: dict[str, float] = {}
    with Display(console, config.train.steps) as display:

        def score(step: int) -> None:
            average, batch = trainer.average.whole(), config.train.images_per_pass(1)
            for i, truth in enumerate(truths):
                own = scores(evaluate_in_detail(average, truth, batch, min_score=MIN_SCORE))
                found.update({f"{sources[i]} {name}" if i else name: own[name] for name in METRICS})
            display.metrics(step, found)
            click.echo(f"{arm} step {step}: {json.dumps({name: round(found[name], 4) for name in found})}")

        trainer.run(display.losses, score)
    return found


def main() -> None:
    """Train the arms one after the other, and print AP of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the scenes and the results")
    parser.add_argument("--images", type=int, default=2000, help="N")
    parser.add_argument("--val", type=int, default=200)
    parser.add_argument("--steps", type=int, help="updates of every arm; those of the demo by default")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grey", action="store_true", help="images with keypoints have no colours")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="as mtvit-train")
    options = parser.parse_args()
    for name, seed in (("first", 0), ("second", 1)):
        if not (options.out / name).exists():
            write_scenes(options.out / name, train=options.images // 2, val=options.val, seed=seed, size=128)
            if options.grey and name == "second":
                turn_grey(options.out / name)
    sources = ("first", "second") if options.grey else ("first",)
    results = {}
    for arm in options.arms:
        click.echo(f"\n{arm}")
        config = settings(arm, options.out, options.steps, options.threads, options.seed, options.set)
        results[arm] = train(arm, config, options.out, sources, Console())
        path = options.out / f"{arm}-seed{options.seed}.json"
        path.write_text(json.dumps(results[arm], indent=2) + "\n", encoding="utf-8")
    names = next(iter(results.values()))
    click.echo("\n" + " | ".join(["run", *names]))
    for arm, own in results.items():
        click.echo(" | ".join([arm, *(f"{own[name]:.3f}" for name in names)]))


if __name__ == "__main__":
    main()
