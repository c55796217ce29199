"""How fast three tasks fit eight real images with one part of the heads changed: the recipe ``coco-overfit``.

    python -m benchmarks.accuracy.ablations_coco --data coco-mini --out real --steps 100 --every 25

The images are scored as they are trained on. A row gives AP50 (AP) of boxes, masks and keypoints by update.
"""

import argparse
import json
from pathlib import Path

import click
import torch
from benchmarks.accuracy.ablations import ABLATIONS, TASKS, settings_of, shipped

from mtvit_train.build.data import read_data, read_split
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.trainer import Trainer
from mtvit_train.weighting.fixed import make_weighting

RECIPE = "coco-overfit"
Curve = dict[int, dict[str, float]]


def settings(name: str, options: argparse.Namespace, seed: int) -> RunConfig:
    """Return the recipe's settings with those of an ablation."""
    given = {"plugins": TASKS, "data": str(options.data), "steps": options.steps}
    own = (f"train.seed={seed}", f"train.evaluate_every={options.every}", "train.threads=1")
    return read_run(RECIPE, given, (*own, *settings_of(name, TASKS)))


def fit(name: str, config: RunConfig, data: Path) -> Curve:
    """Train with one part changed; return the metrics by update."""
    torch.set_num_threads(config.train.threads)
    split = read_data(config, data).train
    model = make_model(config, split.categories)
    ABLATIONS[name][1](model)
    truth = make_split(config, model, read_split(config, data, "val"), training=False)
    weighting = make_weighting(config, task_names(config))
    trainer = Trainer(model, make_split(config, model, split, training=True), config.train, weighting)
    curve: Curve = {}

    def score(step: int) -> None:
        curve[step] = evaluate(trainer.average.whole(), truth)
        click.echo(f"{name} update {step}: {cells(curve[step])}")

    trainer.run(Course(evaluate=score))
    return curve


def cells(metrics: dict[str, float]) -> str:
    """AP50 (AP) of every task."""
    return " | ".join(f"{metrics[f'{task}/AP50']:.3f} ({metrics[f'{task}/AP']:.3f})" for task in TASKS)


def main() -> None:
    """Fit with each change and seed, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of coco-mini")
    parser.add_argument("--out", type=Path, required=True, help="folder for the curves")
    parser.add_argument("--ablations", nargs="+", default=list(ABLATIONS), choices=list(ABLATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=25)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for name in options.ablations:
            with shipped():
                curve = fit(name, settings(name, options, seed), options.data)
            path = options.out / f"{name}-seed{seed}.json"
            path.write_text(json.dumps(curve, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
