"""What two processes do together in ``tests/train/distributed/test_ranks.py``; torchrun starts this file."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.losses.global_batch import shared_count
from mtvit_core.structures.batch import Batch
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.distributed.stop_signals import StopAsked, StopRequest
from mtvit_train.engine.evaluate import evaluate, evaluate_tasks
from mtvit_train.engine.gradients import Gradients, Objective
from mtvit_train.weighting.fixed import FixedConfig, FixedWeights

MODEL = {
    "backbone": "vit_tiny_patch16_224",
    "options": {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2},
    "image_size": (64, 64),
    "person_size": (64, 48),
}


def evaluation(data: Path) -> dict[str, Any]:
    """Metrics, and all that the evaluators hold, of a model that sees images and crops of persons."""
    tasks = {"det": {"queries": 5}, "pose": {"variant": "vitpose-simple"}}
    config = RunConfig(plugins=tuple(tasks), model=MODEL, tasks=tasks)
    val = read_data(config, data).val
    model = make_model(config, val.categories)
    split = make_split(config, model, val, training=False)
    scored = evaluate_tasks(model, split, batch_size=2)
    metrics = {name: str(value) for name, value in evaluate(model, split, batch_size=2).items()}
    held = {name: scored[name].state()["images"] for name in tasks}
    states = {name: {i: [im.annotations, im.results] for i, im in own.items()} for name, own in held.items()}
    return {"metrics": metrics, "states": states}


class Halves(nn.Module):
    """A model of two numbers, of which one is read in the first process only."""

    views, device = ("image",), torch.device("cpu")

    def __init__(self, reads_both: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(3.0))
        self.reads_both = reads_both

    def losses(self, batch: Batch, view: str) -> dict[str, Tensor]:
        value = self.first * batch.images.sum() / shared_count(torch.tensor(len(batch)))
        return {"det/a": value + self.second if self.reads_both else value}


def gradients_of_halves(ranks: Ranks) -> list[float | None]:
    """Gradients of what both processes read, and of what one reads."""
    model: Any = Halves(ranks.leads)
    weighting = FixedWeights(FixedConfig(), ("det",))
    images = torch.full((1, 3, 1, 1), 1 + ranks.rank, dtype=torch.uint8)
    gradients = Gradients(Objective(model, weighting), ranks, 1, 0)
    terms = gradients.fill({"image": Batch(images, (), ())}, 0)
    grads = [None if p.grad is None else p.grad.item() for p in model.parameters()]
    return [terms["det/a"].item(), *grads]


def outcome(work: Callable[[], Any]) -> str:
    """What something returns or raises."""
    try:
        return f"returned {work()}"
    except (ConfigError, SystemExit) as error:
        return f"{type(error).__name__} {error}"


def stops(ranks: Ranks) -> list[Any]:
    """What both say once the second process was signalled, between steps and in work of unequal length."""
    with StopRequest() as stop:
        before = stop.wanted()
        if not ranks.leads:
            os.kill(os.getpid(), signal.SIGUSR1)
        found, asked = [], 0
        try:
            stop.check()
        except StopAsked as stopped:
            found.append(stopped.cause)
        try:
            with stop.apart() as check:
                while asked < 3:
                    asked += 1
                    check()
        except StopAsked as stopped:
            found.append(stopped.cause)
    return [before, *found, asked]


def refuse() -> None:
    """Fail as users make it fail."""
    raise ConfigError("config: no.")


def main(data: Path) -> None:
    """Do it all, and leave a file per process; the second one fails at the end."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        found = {
            "ranks": [ranks.rank, ranks.world, ranks.on_machine],
            "lead": outcome(lambda: ranks.lead(lambda: ranks.rank)),
            "lead fails": outcome(lambda: ranks.lead(refuse)),
            "together": outcome(lambda: ranks.together(lambda: ranks.rank)),
            "one fails": outcome(lambda: ranks.together(lambda: None if ranks.leads else refuse())),
            "both fail": outcome(lambda: ranks.together(refuse)),
            "gather": ranks.gather(ranks.rank),
            "largest": ranks.largest(float(ranks.rank), torch.device("cpu")),
            "count": shared_count(torch.tensor([2 * ranks.rank, 0])).tolist(),
            "stops": stops(ranks),
            "gradients": gradients_of_halves(ranks),
            "evaluation": evaluation(data),
        }
        (data / f"rank-{ranks.rank}.json").write_text(json.dumps(found))
        ranks.gather(None)
        if not ranks.leads:
            raise DataError("image 3: torn.")
        distributed.all_reduce(torch.zeros(1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
