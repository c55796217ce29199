"""What dense tasks and classes add to a pass of det + seg + pose, one by one, decoding included or not.

    python -m benchmarks.speed.dense_cost --rounds 100 --threads 1 --cpu-time

The model is that of the recipe ``scenes-all`` with fresh weights, on one image. Passes alternate in an order
drawn anew for each round. Each row adds one task to the row above; its cost is the difference of the medians
over the median of det + seg + pose. Before timing, predictions of det, seg and pose are compared to the bit,
with equal weights, alone and beside the added tasks.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import click
import torch
from benchmarks.speed.one_pass import alternate, decoded
from torch import Tensor

from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.build.model import make_model
from mtvit_train.config.run import read_run
from mtvit_train.data.formats.coco_categories import parse_category
from mtvit_train.scenes.scene import CATEGORIES, IMAGE_CATEGORIES
from mtvit_train.scenes.writer import CLASSES

OBJECTS = ("det", "seg", "pose")


def main() -> None:
    """Print a table of medians and of what each task costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--tasks", default="semantic,depth,normals,cls", help="Added in this order.")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=V", help="As of mtvit-train.")
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    added = options.tasks.split(",")
    models = {
        " + ".join(("objects", *added[:count])): model_of((*OBJECTS, *added[:count]), options.set)
        for count in range(len(added) + 1)
    }
    first, *others = models.values()
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 3, *first.canvases["image"]), dtype=torch.uint8, generator=generator)
    for model in others:
        model.load_state_dict({**model.state_dict(), **first.state_dict()})
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(evaluating(model))
        differing = sum(
            differs(first(image)[name], other(image)[name]) for other in others for name in OBJECTS
        )
        click.echo(
            f"predictions of {', '.join(OBJECTS)} that differ in a bit beside added tasks: {differing}"
        )
        for what, run in (("predictions", MultiTaskViT.__call__), ("results", decoded)):
            report(what, {name: partial(run, model, image) for name, model in models.items()}, options)


def model_of(tasks: tuple[str, ...], assignments: list[str]) -> MultiTaskViT:
    """Return the recipe's model of these tasks."""
    config = read_run("scenes-all", {"plugins": tasks}, tuple(assignments))
    objects, walls = (
        tuple(parse_category(dict(entry), "scenes", []) for entry in entries)
        for entries in (CATEGORIES, IMAGE_CATEGORIES)
    )
    categories = Categories(objects, walls)
    return make_model(config, categories, classes={"semantic": CLASSES}).eval()


def differs(one: Any, other: Any) -> int:
    """Count the tensors of predictions that are not equal to the bit."""
    if isinstance(one, Tensor):
        return int(not torch.equal(one, other))
    if not is_dataclass(one):
        return 0
    return sum(differs(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))


def report(what: str, passes: dict[str, Callable[[], object]], options: argparse.Namespace) -> None:
    """Time passes and print them."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    times = alternate(passes, options.rounds, clock)
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = next(iter(medians.values()))
    before = base
    click.echo(
        f"{what}, {torch.get_num_threads()} threads: median, times objects alone, cost of the last task"
    )
    for name, median in medians.items():
        click.echo(
            f"{name:44s} {median * 1e3:7.2f} ms {median / base:6.3f} x {(median - before) / base:+7.1%}"
        )
        before = median


if __name__ == "__main__":
    main()
