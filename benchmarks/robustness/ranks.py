"""Several processes against one: the same settings, the same loss curve, whatever images are labelled with.

    python -m benchmarks.robustness.ranks --steps 50 --processes 2

Each case trains a small model in one process and in several (gloo, CPU, fp32), and a row of the table says
how far the loss ever deviates, relative to its value.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import torch

from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import View
from mtvit_core.testing.sample import take
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig
from mtvit_train.data.samples.images import collate
from mtvit_train.distillation.teacher import Teacher
from mtvit_train.distributed.ranks import joined
from mtvit_train.engine.course import Course
from mtvit_train.engine.meter import Report
from mtvit_train.engine.trainer import Trainer
from mtvit_train.optim.gate_course import gate_course
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

#: Images of a batch; the first half of it is what the first half of the processes sees.
BATCH = 4
#: A ViT that trains in milliseconds.
MODEL = {
    "backbone": "vit_tiny_patch16_224",
    "options": {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2},
    "image_size": (64, 64),
    "person_size": (64, 48),
}
TASKS = {"det": {"queries": 6}, "seg": {"queries": 6}, "pose": {"queries": 4}}
LEARNED = {
    "det": {"variant": "yolos", "queries": 6},
    "seg": {"variant": "eomt", "queries": 6, "points": 64},
}
#: The same without a choice that rounding can turn: with a teacher and four processes, step 19 of 50 took
#: another one of 64 uncertain points for one mask, 3.8e-4 of the loss.
UNIFORM = {**LEARNED, "seg": {**LEARNED["seg"], "importance": 0.0}}
#: Tasks that may own layers, and are about to.
BRANCHED = {
    **MODEL,
    "backbone": "branched:vit_tiny_patch16_224",
    "options": {**MODEL["options"], "tasks": "det,seg,pose", "shared_blocks": 1},
}
Change = Callable[[Annotations], Annotations]


def having(*kinds: str) -> Change:
    """Return what leaves these kinds of label and drops all others."""

    def change(annotations: Annotations) -> Annotations:
        masks = annotations.masks if "masks" in kinds else None
        keypoints = annotations.keypoints if "keypoints" in kinds else None
        return replace(annotations, masks=masks, keypoints=keypoints, has=annotations.has & set(kinds))

    return change


EVERYTHING = having("boxes", "masks", "keypoints")


@dataclass(frozen=True)
class Case:
    """A training that is to be the same in any number of processes.

    Attributes:
        tasks: Tasks and their settings.
        first: What is done to the labels of the first half of a batch.
        second: The same for the second half.
        train: Settings of the training.
        model: Settings of the model.
        taught: Whether a teacher, a model with other weights, adds its distillation.
    """

    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: TASKS)
    first: Change = EVERYTHING
    second: Change = EVERYTHING
    train: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=lambda: MODEL)
    taught: bool = False


CASES: dict[str, Case] = {
    "boxes, masks and keypoints": Case(),
    "one half boxes, the other half boxes and keypoints": Case(
        first=having("boxes"), second=having("boxes", "keypoints")
    ),
    "one half boxes, the other half masks": Case(first=having("boxes"), second=having("masks")),
    "one half labelled, the other half not": Case(second=having()),
    "one half without objects": Case(second=lambda annotations: take(annotations, [])),
    "learned queries: masked attention, points drawn": Case(LEARNED),
    "shared queries, one half boxes, the other half masks": Case(
        first=having("boxes"), second=having("masks"), model={**MODEL, "queries": "instance"}
    ),
    "FSDP, shared queries": Case(
        first=having("boxes"), train={"parallel": "fsdp"}, model={**MODEL, "queries": "instance"}
    ),
    "crops of persons: ViTPose": Case({"det": {"queries": 6}, "pose": {"variant": "vitpose-simple"}}),
    "crops of persons: TokenPose": Case({"pose": {"variant": "tokenpose"}}),
    "uncertainty": Case(second=having("boxes"), train={"weighting": "uncertainty"}),
    "gradnorm": Case(second=having("boxes"), train={"weighting": "gradnorm"}),
    "Muon, checkpointing": Case(train={"optimizer": "muon", "checkpointing": True}),
    "frozen backbone": Case(train={"backbone_lr": 0.0}),
    "FSDP": Case(train={"parallel": "fsdp"}),
    "FSDP, one half boxes, the other half masks": Case(
        first=having("boxes"), second=having("masks"), train={"parallel": "fsdp"}
    ),
    "FSDP, two passes, checkpointing": Case(
        LEARNED, train={"parallel": "fsdp", "accumulate": 2, "checkpointing": True}
    ),
    "two passes": Case(second=having("boxes"), train={"accumulate": 2}),
    "two passes, learned queries": Case(LEARNED, train={"accumulate": 2}),
    "learned gates": Case(first=having("boxes"), model=BRANCHED),
    "learned gates, two passes, checkpointing": Case(
        second=having("boxes", "masks"), train={"accumulate": 2, "checkpointing": True}, model=BRANCHED
    ),
    "a teacher, one half labelled, two passes": Case(second=having(), train={"accumulate": 2}, taught=True),
    "a teacher, learned queries, one half labelled": Case(UNIFORM, second=having(), taught=True),
    "FSDP, a teacher, one half labelled": Case(second=having(), train={"parallel": "fsdp"}, taught=True),
}


def make_trainer(case: Case, data: Path, steps: int) -> Trainer:
    """Build the trainer of a case, in this process or as one of several."""
    train = {
        "steps": steps,
        "batch_size": BATCH,
        "precision": "fp32",
        "device": "cpu",
        "warmup": 5,
        **case.train,
    }
    settings = {"plugins": tuple(case.tasks), "model": case.model, "tasks": case.tasks, "train": train}
    settings |= {"sharing": {"budget": 1.2, "noise": 0.1}} if case.model is BRANCHED else {}
    config = RunConfig(data=str(data), **settings)
    packed = read_data(config, data).train
    model = make_model(config, packed.categories)
    split = make_split(config, model, packed, training=True)
    teacher = make_teacher(config, packed.categories) if case.taught else None
    gates = gate_course(model.backbone, config, list(case.tasks))
    return Trainer(
        model, split, config.train, make_weighting(config, task_names(config)), teacher, None, gates
    )


def make_teacher(config: RunConfig, categories: Categories) -> Teacher:
    """Return a model that is sure of something, though of nothing true."""
    other = config.model_copy(update={"train": config.train.model_copy(update={"seed": 1})})
    model = make_model(other, categories)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3 if value.ndim < 2 else value[0].numel() ** -0.5)
    return Teacher(model.eval().requires_grad_(requires_grad=False), dict.fromkeys(config.tasks, 1.0))


def curve(case: Case, data: Path, steps: int) -> list[dict[str, float]]:
    """Train and return the loss terms of every step."""
    trainer = make_trainer(case, data, steps)
    found = []
    for step in range(steps):
        batches = {view: _share(trainer, case, view, step) for view in trainer.split.views}
        losses, norm = trainer.update(batches)
        found.append({name: value.item() for name, value in losses.items()} | {"grad_norm": norm.item()})
    return found


def _share(trainer: Trainer, case: Case, view: View, step: int) -> Batch:
    """The images of this process in a step: the labels depend on the place in the batch."""
    dataset, ranks = trainer.split.views[view], trainer.ranks
    samples = [dataset[(step, (BATCH * step + place) % len(dataset))] for place in range(BATCH)]
    changed = [
        replace(s, annotations=(case.first if place < BATCH // 2 else case.second)(s.annotations))
        for place, s in enumerate(samples)
    ]
    size = BATCH // ranks.world
    return collate(changed).part(ranks.rank * size, (ranks.rank + 1) * size)


def run_curve(data: Path, steps: int) -> list[dict[str, float]]:
    """Train with the trainer's own sampler, on a number of images that the batch does not divide."""
    trainer = make_trainer(Case(train={"log_every": 1}), data, steps)
    found: list[dict[str, float]] = []

    def report(report: Report) -> None:
        found.append({**report.losses, "grad_norm": report.grad_norm})

    trainer.run(Course(report))
    return found


#: The case that draws its batches as a run does.
UNEVEN = "a data set that the batch does not divide"


def curves(names: Sequence[str], data: Path, steps: int) -> dict[str, list[dict[str, float]]]:
    """Return the loss terms of every step, by case."""
    return {
        name: run_curve(data, steps) if name == UNEVEN else curve(CASES[name], data, steps) for name in names
    }


def in_processes(
    names: Sequence[str], data: Path, steps: int, processes: int
) -> dict[str, list[dict[str, float]]]:
    """Return what ``curves`` gives in several processes that torchrun starts."""
    out = data / f"curves-{processes}.json"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(processes), "-m", "benchmarks.robustness.ranks"),
        *("--worker", str(out), "--data", str(data), "--steps", str(steps), "--cases", *names),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    found: dict[str, list[dict[str, float]]] = json.loads(out.read_text())
    return found


def fits(name: str, processes: int) -> bool:
    """Whether the batch of a case can be shared out to so many processes."""
    passes = 1 if name == UNEVEN else CASES[name].train.get("accumulate", 1)
    return BATCH % (processes * passes) == 0


def deviation(
    one: Sequence[Mapping[str, float]], many: Sequence[Mapping[str, float]], name: str = "loss"
) -> float:
    """Return the largest relative deviation of a value over a curve.

    Raises:
        ValueError: the curves are not of the same steps and terms.
    """
    pairs = list(zip(one, many, strict=True))
    if any(a.keys() != b.keys() for a, b in pairs):
        raise ValueError("the curves have different terms")
    return max(abs(a[name] - b[name]) / max(abs(a[name]), 1e-12) for a, b in pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--cases", nargs="+", default=[*CASES, UNEVEN])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--worker", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.worker:
        with joined("cpu") as ranks:
            found = curves(options.cases, options.data, options.steps)
            if ranks.leads:
                options.worker.write_text(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        write_scenes(data, train=7, val=2, seed=3, size=64)
        one = curves(options.cases, data, options.steps)
        many = {
            n: in_processes([name for name in options.cases if fits(name, n)], data, options.steps, n)
            for n in options.processes
        }
    click.echo(f"largest relative deviation of the loss in {options.steps} steps")
    click.echo(" | ".join(["case", *(f"{n} processes" for n in many)]))
    for name in options.cases:
        cells = [
            f"{deviation(one[name], found[name]):.1e}" if name in found else "-" for found in many.values()
        ]
        click.echo(" | ".join([name, *cells]))


if __name__ == "__main__":
    main()
