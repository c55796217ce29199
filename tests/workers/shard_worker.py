"""A training whose weights are shared out, stopped and gone on with, for ``test_sharded.py``."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from mtvit_core.model import checkpoint
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import joined
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.trainer import Trainer
from mtvit_train.state.atomic_folder import open_folder, write_folder
from mtvit_train.weighting.fixed import make_weighting
from support.commands.processes import gloo_threads
from workers import rank_worker

#: Images of a batch, which two and three processes can share out.
BATCH = 6
BEFORE, AFTER = 2, 2


def make_trainer(data: Path, model: dict[str, Any] = rank_worker.MODEL) -> tuple[Trainer[MultiTaskViT], Any]:
    """A trainer of two tasks, and what it is evaluated on."""
    train = {
        "batch_size": BATCH,
        "precision": "fp32",
        "steps": BEFORE + AFTER,
        "parallel": "fsdp",
        "warmup": 1,
    }
    # Of points kept by uncertainty rounding may turn a tie, see benchmarks/robustness/ranks.py.
    seg = {"queries": 4, "variant": "eomt", "points": 32, "importance": 0.0}
    tasks = {"det": {"queries": 4}, "seg": seg}
    settings = {"plugins": tuple(tasks), "model": model, "tasks": tasks, "train": train}
    config = RunConfig(data=str(data), **settings)
    found = read_data(config, data)
    packed, val = found.train, found.val
    fresh = make_model(config, packed.categories)
    split = make_split(config, fresh, packed, training=True)
    trainer = Trainer(fresh, split, config.train, make_weighting(config, task_names(config)))
    return trainer, make_split(config, fresh, val, training=False)


def updates(trainer: Trainer[MultiTaskViT], number: int) -> list[float]:
    """Make some updates and return their losses."""
    streams = {view: trainer._batches(view) for view in trainer.model.views}
    batches = [{view: next(stream) for view, stream in streams.items()} for _ in range(number)]
    return [trainer.update(batch)[0]["loss"].item() for batch in batches]


def gone_on(data: Path, state: Path) -> list[float]:
    """Losses after the stop, from what ``stopped`` has kept."""
    trainer, _ = make_trainer(data)
    trainer.load_state_dict(open_folder(state, trainer.ranks))
    return updates(trainer, AFTER)


def stopped(data: Path, state: Path) -> dict[str, Any]:
    """Train, keep the state, and go on."""
    trainer, val = make_trainer(data)
    before = updates(trainer, BEFORE)
    write_folder(state, trainer.state_dict(), trainer.ranks)
    found = {"before": before, "after": updates(trainer, AFTER)}
    whole = trainer.average.whole()
    metrics = evaluate(whole, val, batch_size=2)
    if trainer.ranks.leads:
        checkpoint.save(whole, state.with_suffix(".safetensors"), {"step": trainer.step})
    own = sum(p.to_local().numel() for p in trainer.model.parameters() if isinstance(p, DTensor))
    every = sum(p.numel() for p in trainer.model.parameters())
    moments = [m for entry in trainer.optimizer.parts[0].state.values() for m in entry.values() if m.ndim]
    return {
        **found,
        "metrics": {name: str(value) for name, value in metrics.items()},
        "share": own / every,
        "moments": sum(m.to_local().numel() if isinstance(m, DTensor) else m.numel() for m in moments)
        / every,
    }


def main(mode: str, data: Path, state: Path, out: Path) -> None:
    """Do one of both in several processes."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        found = stopped(data, state) if mode == "stop" else gone_on(data, state)
        if ranks.leads:
            out.write_text(json.dumps(found))
    if gloo_threads():
        raise RuntimeError("threads of gloo outlive their group.")


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
