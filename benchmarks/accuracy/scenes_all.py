"""The recipe ``scenes-all``: every metric, minutes, and dense errors against the best constant prediction.

    python -m benchmarks.accuracy.scenes_all --out demo --config scenes-demo --tasks det,seg,pose --threads 2
    python -m benchmarks.accuracy.scenes_all --out all --threads 2 --against demo

The first line trains the demo's model, whose objects the second one is compared to, seed by seed: joint
training may cost no object task more than 0.01 AP. Each target is told with whether it is met.
Constant predictions know the training labels: the most frequent class, the median depth, and the mean
direction.
"""

import argparse
import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console

from mtvit_core.model.checkpoint import load
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap, DenseMap, PixelMap
from mtvit_core.tasks.task import AnyTask
from mtvit_train.build.data import read_data
from mtvit_train.config.run import read_run
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.runs.run import run

TASKS = "det,seg,pose,semantic,depth,normals,cls"
OBJECTS = ("det", "seg", "pose")
#: Least values that the recipe is to reach, in at most so many minutes on two cores.
TARGETS = {"det/AP50": 0.75, "seg/AP50": 0.72, "semantic/mIoU": 0.60}
MINUTES = 10.0
#: AP that joint training may cost an object task.
LOSS = 0.01
DENSE = ("semantic", "depth", "normals")


def main() -> None:
    """Train with every seed, and print and keep the metrics."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--config", default="scenes-all", help="Recipe or TOML file.")
    parser.add_argument("--against", type=Path, help="Output of this script for the demo's model.")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V", help="As of mtvit-train.")
    options = parser.parse_args()
    for seed in options.seeds:
        train(options, seed)


def train(options: argparse.Namespace, seed: int) -> None:
    """Make one run, and compare its dense metrics with those of constants."""
    out = options.out / f"seed{seed}"
    own = (f"train.seed={seed}", f"train.threads={options.threads}", *options.set)
    given = {"plugins": tuple(options.tasks.split(",")), "out": str(out)}
    started = time.perf_counter()
    metrics = run(read_run(options.config, given, own), Console())
    minutes = (time.perf_counter() - started) / 60
    constant = constants(options, out, own)
    told = {"minutes": minutes, "metrics": metrics, "constant": constant}
    (out / "benchmark.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    click.echo(f"seed {seed}: {minutes:.1f} minutes, {torch.get_num_threads()} threads")
    for name, value in metrics.items():
        beside = f"   constant {constant[name]:.4f}" if name in constant else ""
        click.echo(f"  {name:28s} {value:.4f}{beside}")
    for line in judged(minutes, metrics, options.against, seed):
        click.echo(f"  {line}")


def judged(minutes: float, metrics: dict[str, float], against: Path | None, seed: int) -> list[str]:
    """Tell of every target whether it is met."""
    told = [verdict(f"minutes {minutes:.1f}, at most {MINUTES:g}", minutes <= MINUTES)]
    for name, least in TARGETS.items():
        if name in metrics:
            told.append(verdict(f"{name} {metrics[name]:.3f}, at least {least:g}", metrics[name] >= least))
    if against is None:
        return told
    base = json.loads((against / f"seed{seed}" / "benchmark.json").read_text(encoding="utf-8"))["metrics"]
    for name in (f"{task}/AP" for task in OBJECTS):
        change = metrics[name] - base[name]
        text = f"{name} {metrics[name]:.3f}, {change:+.3f} against the demo, at least {-LOSS:g}"
        told.append(verdict(text, change >= -LOSS))
    return told


def verdict(text: str, met: bool) -> str:
    """Return a line that says whether a target is met."""
    return f"{'met' if met else 'MISSED':7s}{text}"


def constants(options: argparse.Namespace, out: Path, own: tuple[str, ...]) -> dict[str, float]:
    """Return the dense metrics of the best constants on the validation images of a run."""
    tasks = tuple(options.tasks.split(","))
    data = read_data(read_run(options.config, {"plugins": tasks}, own), out / "scenes")
    model = load(out)
    dense = [task for task in model.task_list if task.name in DENSE]
    scores = {}
    for task in dense:
        values = task.evaluator()
        value = best_constant(task, data.train)
        for index in range(len(data.val)):
            truth, at = data.val.original(index, {task.name}), data.val.meta(index)
            values.update([of_constant(task, value, at, truth)], [truth], [at])
        scores |= {f"{task.name}/{name}": score for name, score in values.compute().items()}
    return scores


def best_constant(task: AnyTask, packed: PackedAnnotations) -> np.ndarray:
    """Return one value for all pixels: the most frequent class, the median, or the mean direction."""
    labels = [packed.dense(i, {task.name})[task.name] for i in range(min(500, len(packed)))]
    if task.name == "normals":
        return np.nanmean(np.concatenate([label.reshape(3, -1) for label in labels], 1), 1)
    values = np.concatenate([label.ravel() for label in labels])
    values = values[np.isfinite(values)]
    if task.name == "depth":
        return np.median(values)
    return np.bincount(values.astype(np.int64)).argmax()


def of_constant(task: AnyTask, value: np.ndarray, at: ImageMeta, truth: Annotations) -> ImageResult:
    """Return the result that says the same of every pixel."""
    size = (at.height, at.width)
    found: PixelMap
    if task.name == "semantic":
        classes = task.evaluator().classes  # type: ignore[attr-defined]  # of this task
        found = CategoryMap.semantic(torch.full(size, int(value)), classes)
    else:
        planes = torch.as_tensor(value, dtype=torch.float32).reshape(-1, 1, 1).expand(-1, *size)
        found = DenseMap(planes, ("x", "y", "z") if len(planes) == 3 else ("depth",))
    empty = ImageResult.empty(at, task.categories)
    return ImageResult(empty.instances, {task.name: found})


if __name__ == "__main__":
    main()
