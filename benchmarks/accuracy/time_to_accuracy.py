"""Updates until AP50 of 0.5 from random weights: our heads against YOLOS and EoMT, same data, same schedule.

    python -m benchmarks.accuracy.time_to_accuracy --out race --arms det yolos transformers --steps 6000

Scenes of 128 px, a ViT of width 192 and depth 6 with patches of 16, batches of 16 images, a rate that rises
and then stays, averaged weights scored every N updates on unseen scenes. An arm ends when its AP50 was 0.5
twice in a row, or at the cap. The same seed gives the same images in the same order to every arm.

    det, seg       our default heads
    yolos, eomt    the published heads with their own losses, in our trainer
    transformers   YolosForObjectDetection with transformers' own loss, fed and scored as the others

EoMT fades its masked attention out over the cap of updates, so the cap is part of its recipe.

A race that was stopped goes on from its last score when the same command is given, with the weights it had:
after a change of the code give another --out or --name.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from benchmarks.accuracy.yolos_reference import TransformersYolos

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.data import read_data, read_split
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.checkpoints import Checkpoints
from mtvit_train.state.state_tree import read
from mtvit_train.weighting.fixed import make_weighting

#: Task, and what differs from its default head.
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "det": ("det", ()),
    "yolos": ("det", ("tasks.det.variant=yolos",)),
    "transformers": ("det", ("tasks.det.variant=yolos",)),
    "seg": ("seg", ()),
    # As many points to a pixel of the mask map as on EoMT's own canvas of 640 px.
    "eomt": ("seg", ("tasks.seg.variant=eomt", "tasks.seg.points=512")),
}
TARGET = 0.5
#: Scores in a row that must reach the target.
IN_A_ROW = 2
#: Scenes hold five objects at most, so more queries would only cost time.
SETTINGS = (
    "model.backbone=vit_tiny_patch16_224",
    "model.options={depth = 6}",
    "model.image_size=[128, 128]",
    "augment.scale=[0.9, 1.1]",
    "train.batch_size=16",
    "train.optimizer=muon",
    "train.lr=1e-3",
    "train.layer_decay=1.0",
    "train.ema=0.99",
    "train.warmup=100",
    "train.final_lr=1.0",
)
QUERIES = 20


class TargetReachedError(Exception):
    """Raised where an arm need not go on."""


@dataclass
class Curve:
    """How an arm learned.

    Attributes:
        run: Which run.
        steps: Updates made before each score.
        scores: Metrics by name, one list each.
        losses: Their sum before each score, averaged since the one before.
        seconds: Spent on updates, by the processor.
    """

    run: str
    steps: list[int] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, step: int, metrics: dict[str, float]) -> None:
        """Add a score."""
        self.steps.append(step)
        for name, value in metrics.items():
            self.scores.setdefault(name.split("/")[1], []).append(round(value, 4))

    @property
    def reached(self) -> int | None:
        """Updates at the first of the scores in a row that reach the target; None while none do."""
        above = [score >= TARGET for score in self.scores["AP50"]]
        for first in range(len(above) - IN_A_ROW + 1):
            if all(above[first : first + IN_A_ROW]):
                return self.steps[first]
        return None


def settings(arm: str, data: Path, steps: int, every: int, seed: int, more: Sequence[str]) -> RunConfig:
    """Return the settings of an arm; ``more`` wins over all."""
    task, own = ARMS[arm]
    given = {"plugins": (task,), "data": str(data), "steps": steps}
    rest = (f"tasks.{task}.queries={QUERIES}", f"train.seed={seed}", "train.threads=1")
    times = [f"train.{what}_every={every}" for what in ("evaluate", "log", "checkpoint")]
    return read_run(None, given, (*SETTINGS, *rest, *times, *own, *more))


def race(
    arm: str,
    config: RunConfig,
    data: Path,
    path: Path,
    change: Callable[[MultiTaskViT], None] = lambda model: None,
) -> Curve:
    """Train one arm until it has reached the target or the cap, and return its curve, which is kept on disk.

    Args:
        arm: Which one.
        config: Its settings.
        data: Folder of the scenes.
        path: Where the curve goes.
        change: What is done to the fresh model.
    """
    torch.set_num_threads(config.train.threads)
    packed = read_data(config, data).train
    model: MultiTaskViT = make_model(config, packed.categories)
    if arm == "transformers":
        model = TransformersYolos(model, config.tasks["det"]["queries"])
    change(model)
    split = make_split(config, model, packed, training=True)
    truth = make_split(config, model, read_split(config, data, "val"), training=False)
    trainer = Trainer(model, split, config.train, make_weighting(config, task_names(config)))
    given = config.model_dump(mode="json")
    checkpoints = Checkpoints(path.with_suffix(""), keep=1, tell=click.echo)
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    curve, since = take_up(trainer, checkpoints, given) or Curve(path.stem), time.process_time()

    def count() -> None:
        nonlocal since
        now = time.process_time()
        curve.seconds, since = curve.seconds + now - since, now

    def save() -> None:
        count()
        checkpoints.save(trainer.step, {**trainer.state_dict(), "curve": asdict(curve), "config": given})

    def score(step: int) -> None:
        nonlocal since
        count()
        curve.add(step, evaluate(trainer.average.whole(), truth))
        shown = {**asdict(curve), "reached": curve.reached, "config": given}
        path.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
        now = "  ".join(f"{name} {curve.scores[name][-1]:.3f}" for name in ("AP", "AP50", "AR"))
        now += f"  loss {curve.losses[-1]:.3f}"
        click.echo(f"{curve.run} step {step}: {now}  {curve.seconds / step:.3f} s an update")
        if curve.reached is not None:
            raise TargetReachedError
        since = time.process_time()

    with suppress(TargetReachedError):
        trainer.run(Course(lambda report: curve.losses.append(round(report.losses["loss"], 4)), score, save))
    return curve


def take_up(trainer: Trainer, checkpoints: Checkpoints, config: dict[str, Any]) -> Curve | None:
    """Put the trainer where a race was stopped, and return its curve so far; None where it never began.

    Raises:
        SystemExit: that race had other settings.
    """
    state = checkpoints.newest()
    if state is None:
        return None
    if read(state["config"]) != config:
        raise SystemExit(
            f"{checkpoints.folder}: this race was begun with other settings; give another --out or --name."
        )
    trainer.load_state_dict(state)
    curve = Curve(**read(state["curve"]))
    trainer.evaluated = max(curve.steps, default=0)
    click.echo(f"{curve.run}: going on from update {trainer.step}.")
    return curve


def options_of(text: str | None, kind: str, choices: Iterable[str]) -> tuple[argparse.Namespace, Path]:
    """Read the options of a script that runs several races; return them and the folder of the scenes."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the scenes and the curves")
    parser.add_argument(f"--{kind}", nargs="+", default=list(choices), choices=list(choices))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=6000, help="most updates of an arm")
    parser.add_argument("--every", type=int, default=250, help="N")
    parser.add_argument("--images", type=int, default=10_000, help="training scenes")
    parser.add_argument("--val", type=int, default=200, help="unseen scenes")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="as mtvit-train")
    parser.add_argument("--name", default="", help="put into the names of the curves")
    options = parser.parse_args()
    data = options.out / "scenes"
    if not data.exists():
        write_scenes(data, train=options.images, val=options.val, seed=0, size=128)
    return options, data


def path_of(options: argparse.Namespace, run: str, seed: int) -> Path:
    """Return where the curve of a run goes."""
    name: str = "-".join(part for part in (run, options.name, f"seed{seed}") if part)
    return options.out / f"{name}.json"


def show_table(curves: Sequence[Curve]) -> None:
    """Print what every run needed."""
    click.echo(f"\nrun | updates to AP50 {TARGET} | best AP50 | s an update")
    for curve in curves:
        best, pace = max(curve.scores["AP50"]), curve.seconds / curve.steps[-1]
        click.echo(f"{curve.run} | {curve.reached or f'over {curve.steps[-1]}'} | {best:.3f} | {pace:.3f}")


def main() -> None:
    """Run the arms one after the other, and print what each needed."""
    options, data = options_of(__doc__, "arms", ARMS)
    curves = []
    for arm in options.arms:
        for seed in options.seeds:
            config = settings(arm, data, options.steps, options.every, seed, options.set)
            curves.append(race(arm, config, data, path_of(options, arm, seed)))
    show_table(curves)


if __name__ == "__main__":
    main()
