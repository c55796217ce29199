"""Trainings with switches of memory and time, for ``tests/train/engine/test_trainer_switches.py``.

They run in a process of their own: torch cannot compile what the tests' shape checks wrap.
"""

import json
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig
from mtvit_train.engine.course import Course
from mtvit_train.engine.trainer import Trainer
from mtvit_train.weighting.fixed import make_weighting
from workers import rank_worker

STEPS = 3
TOGETHER: dict[str, Any] = {"checkpointing": True, "compile": True, "ema": 0.9, "layer_decay": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "checkpointing": {"checkpointing": True},
    "compile": {"compile": True},
    "compile, checkpointing, two passes": {"compile": True, "checkpointing": True, "accumulate": 2},
    "no average": {"ema": 0.0},
    "layer decay": {"layer_decay": 0.5},
    "layer decay, together": TOGETHER,
    "frozen": {"backbone_lr": 0.0},
    "frozen, together": {**TOGETHER, "backbone_lr": 0.0},
    "bf16": {"precision": "bf16", "layer_decay": 0.5},
    "bf16, together": {**TOGETHER, "precision": "bf16"},
}


def trained(data: Path, switches: dict[str, Any]) -> dict[str, Any]:
    """Train; return the losses, how far the backbone has moved, and how far the average is behind."""
    torch.compiler.reset()
    train = {"batch_size": 2, "precision": "fp32", "steps": STEPS, "warmup": 1, "log_every": 1, **switches}
    tasks = {"det": {"queries": 4}, "seg": {"queries": 4, "variant": "eomt", "points": 32}}
    config = RunConfig(
        data=str(data), plugins=tuple(tasks), model=rank_worker.MODEL, tasks=tasks, train=train
    )
    packed = read_data(config, data).train
    model = make_model(config, packed.categories)
    before = [value.clone() for value in model.backbone.parameters()]
    split = make_split(config, model, packed, training=True)
    trainer = Trainer(model, split, config.train, make_weighting(config, task_names(config)))
    losses: list[float] = []
    trainer.run(Course(lambda report: losses.append(report.losses["loss"])))
    average = trainer.average.model.parameters()
    return {
        "losses": losses,
        "moved": distance(before, model.backbone.parameters()),
        "behind": distance(average, model.parameters()),
    }


def distance(first: Any, second: Any) -> float:
    """The largest difference of any number of two lists of weights."""
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


if __name__ == "__main__":
    warnings.simplefilter("default", UserWarning)  # torch warns while it traces
    torch.set_num_threads(1)
    folder, backend, *names = sys.argv[1:]
    torch.compile = partial(torch.compile, backend=backend)
    sys.stdout.write(json.dumps({name: trained(Path(folder), CASES[name]) for name in names}))
