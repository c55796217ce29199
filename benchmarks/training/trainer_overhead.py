"""Step time of the trainer against a bare loop of the same model, loss and optimiser on the same batch.

    python -m benchmarks.training.trainer_overhead --steps 12

The bare loop is what one would write by hand: losses, backward, clip, AdamW. The trainer adds schedules,
weighting, checks for what is not finite, the averaged weights and the records. Steps of both alternate; the
ratio of processor times counts, since it does not depend on what else the machine does.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.tasks.task import View
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import read_run
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting


def main() -> None:
    """Print both step times and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="scenes-demo")
    parser.add_argument("--tasks", default="det,seg,pose")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="A.B=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fixed = [f"train.batch_size={options.batch_size}", "train.optimizer=adamw", "train.device=cpu"]
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "scenes"
        write_scenes(data, train=options.batch_size, val=1, seed=0, size=128)
        given = {"data": str(data), "plugins": tuple(options.tasks.split(","))}
        config = read_run(options.config, given, (*fixed, *options.assignments))
        found = read_data(config, data)
        model = make_model(config, found.train.categories)
        bare = Bare(copy.deepcopy(model), config.train.lr, config.train.clip)
        split = make_split(config, model, found.train, training=True)
        trainer = Trainer(model, split, config.train, make_weighting(config, task_names(config)))
        bare.model.backbone.precision = trainer.model.backbone.precision
        batches = {view: next(trainer._batches(view)) for view in model.views}
    sides: dict[str, Callable[[], None]] = {
        "bare loop": lambda: bare.step(batches),
        "trainer": lambda: step(trainer, batches),
    }
    show(alternate(sides, options.steps), f"{options.config}, {options.tasks}, batch {options.batch_size}")


class Bare:
    """The loop that one would write by hand."""

    def __init__(self, model: MultiTaskViT, lr: float, clip: float) -> None:
        """Build the optimiser."""
        self.model, self.clip = model.train(), clip
        self.weights = list(model.parameters())
        self.optimizer = torch.optim.AdamW(self.weights, lr=lr)

    def step(self, batches: dict[View, Batch]) -> None:
        """Make one update."""
        self.optimizer.zero_grad()
        losses = [loss for view, batch in batches.items() for loss in self.model.losses(batch, view).values()]
        torch.stack(losses).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.clip)
        self.optimizer.step()


def step(trainer: Trainer, batches: dict[View, Batch]) -> None:
    """Make one update as a run does, and take it into the records."""
    losses, norm = trainer.update(batches)
    trainer.meter.add(losses, norm, sum(map(len, batches.values())), 0.0, 0.0)


def alternate(sides: dict[str, Callable[[], None]], steps: int) -> dict[str, list[float]]:
    """Return the processor seconds of every step of each side, but the first two."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(steps + 2):
        for name, work in sides.items():
            started = time.process_time()
            work()
            if number > 1:
                times[name].append(time.process_time() - started)
    return times


def show(times: dict[str, list[float]], title: str) -> None:
    """Print a table of two sides, and the ratio of the second to the first."""
    table = Table("", "median (ms)", "least (ms)", title=title)
    for name, values in times.items():
        table.add_row(name, f"{1e3 * statistics.median(values):.0f}", f"{1e3 * min(values):.0f}")
    console = Console(highlight=False)
    console.print(table)
    first, second = times
    pairs = [b / a for a, b in zip(times[first], times[second], strict=True)]
    low, middle, high = statistics.quantiles(pairs, n=4)
    console.print(f"{second} over {first}, median of {len(pairs)} pairs: {middle:.3f}")
    console.print(f"half of the pairs: {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
