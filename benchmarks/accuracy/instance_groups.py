"""Shared against separate queries, isolated against joint ones, and three tasks against three models.

    python -m benchmarks.accuracy.instance_groups --out groups --seeds 0 1 2 --threads 2

Every arm is the demo's recipe on the same scenes:

    separate   each task has its own queries, isolated
    shared     one instance group for all tasks, isolated
    joint      as separate, all queries and the image see each other
    det, seg, pose   a model of that task alone

``--change`` makes one of the changes of ``ablations.py`` in all tasks. Latency is that of one image, decoding
and linking included, over that of the bare backbone in the same run; the single models' is the sum of theirs.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import click
import torch
from benchmarks.accuracy.ablations import ABLATIONS, TASKS, settings_of, shipped
from benchmarks.speed.one_pass import alternate
from rich.console import Console

from mtvit_core.model.checkpoint import save
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.data import read_data, read_split
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.engine.evaluate import evaluate_in_detail
from mtvit_train.engine.trainer import Trainer
from mtvit_train.recording.terminal import Display
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

#: Least score of results that are linked; after so few updates few skeletons have more.
MIN_SCORE = 0.1
#: Settings of each arm.
ARMS: dict[str, tuple[str, ...]] = {
    "separate": (),
    "shared": ('model.queries="instance"',),
    "joint": tuple(f'tasks.{task}.visibility="joint"' for task in TASKS),
    **dict.fromkeys(TASKS, ()),
}
#: What is printed of each arm.
METRICS = (
    *(f"{task}/{name}" for task in TASKS for name in ("AP", "AP50")),
    *(f"link/{name}" for name in ("complete", "consistent", "keypoints_in_mask", "mask_in_box", "score")),
)


def settings(arm: str, options: argparse.Namespace, seed: int) -> RunConfig:
    """Return the demo's settings with those of an arm."""
    plugins = (arm,) if arm in TASKS else TASKS
    given = {"plugins": plugins, "data": str(options.out / "scenes"), "steps": options.steps}
    changed = settings_of(options.change, plugins)
    own = (f"train.threads={options.threads}", f"train.seed={seed}", *ARMS[arm], *changed)
    config = read_run("scenes-demo", given, (*options.set, *own))
    tasks = {name: table for name, table in config.tasks.items() if name in plugins}
    return config.model_copy(update={"tasks": tasks})


def train(
    arm: str, change: str, config: RunConfig, data: Path, out: Path, console: Console
) -> dict[str, float]:
    """Train one arm and save it, where it is unchanged; return its metrics, tokens and relative latency."""
    torch.set_num_threads(config.train.threads)
    split = read_data(config, data).train
    model = make_model(config, split.categories)
    ABLATIONS[change][1](model)
    trainer = Trainer(
        model,
        make_split(config, model, split, training=True),
        config.train,
        make_weighting(config, task_names(config)),
    )
    val = read_split(config, data, "val")
    truth = make_split(config, model, val, training=False)
    found: dict[str, float] = {}
    with Display(console, config.train.steps) as display:

        def score(step: int) -> None:
            average, batch = trainer.average.whole(), config.train.images_per_pass(1)
            found.update(evaluate_in_detail(average, truth, batch, min_score=MIN_SCORE).metrics)
            display.metrics(step, found)
            click.echo(f"{arm} step {step}: {json.dumps({name: round(found[name], 4) for name in found})}")

        trainer.run(display.losses, score)
    whole = trainer.average.whole()
    if change == "default":
        save(whole, out)
    return {**found, "tokens": float(queries(whole)), "latency": latency(whole, val.image(0).path)}


def queries(model: MultiTaskViT) -> int:
    """Return the number of query tokens, each counted once for every block it passes."""
    groups = [group for task in model.task_list for group in model.modules_of(task.name).groups]
    if model.instance_group is not None:
        groups.append(model.instance_group.group)
    return sum(group.count * (model.backbone.spec.depth - group.enter) for group in groups)


def latency(model: MultiTaskViT, image: Path, rounds: int = 30) -> float:
    """Return the time of one image, all of it, over that of the bare backbone."""
    canvas = torch.zeros(1, 3, *model.canvases["image"], dtype=torch.uint8)
    with evaluating(model):
        normalised = model.backbone.normalise(canvas)
        times = alternate(
            {
                "bare": lambda: model.backbone.vit.forward_features(normalised),
                "whole": lambda: model.predict([image], min_score=0.3),
            },
            rounds,
            time.process_time,
        )
    return statistics.median(times["whole"]) / statistics.median(times["bare"])


def main() -> None:
    """Train arms and seeds one after the other, and print mean and spread of each metric."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the scenes and the results")
    parser.add_argument("--steps", type=int, help="updates of every arm; those of the demo by default")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--change", default="default", choices=ABLATIONS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="as mtvit-train")
    options = parser.parse_args()
    data = options.out / "scenes"
    if not data.exists():
        write_scenes(data, train=2000, val=200, seed=0, size=128)
    for seed in options.seeds:
        for arm in options.arms:
            click.echo(f"\n{arm}, seed {seed}")
            path = options.out / f"{name_of(arm, options.change)}-seed{seed}.json"
            config = settings(arm, options, seed)
            out = path.with_suffix(".safetensors")
            with shipped():
                found = train(arm, options.change, config, data, out, Console())
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    click.echo("\n" + " | ".join(["arm", "seeds", *METRICS, "tokens", "latency"]))
    for name in (name_of(arm, change) for change in ABLATIONS for arm in ARMS):
        runs = [json.loads(path.read_text()) for path in sorted(options.out.glob(f"{name}-seed*.json"))]
        if runs:
            cells = [spread([run[metric] for run in runs if metric in run]) for metric in METRICS]
            more = [spread([run[metric] for run in runs]) for metric in ("tokens", "latency")]
            click.echo(" | ".join([name, str(len(runs)), *cells, *more]))


def name_of(arm: str, change: str) -> str:
    """Name of a run."""
    return arm if change == "default" else f"{arm}+{change}"


def spread(values: list[float]) -> str:
    """Mean and standard deviation; a dash for nothing."""
    if not values:
        return "-"
    deviation = f" +- {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
