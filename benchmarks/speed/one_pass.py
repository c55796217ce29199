"""Latency of det + seg + pose in one pass against the bare timm backbone, in one run, decoding included.

    python -m benchmarks.speed.one_pass --queries task instance --rounds 30

Bare and multi-task passes alternate, so that both see the same machine, in an order drawn anew for each
round, so that none always runs behind the same one; the ratio of medians is what counts.
Where the rounds of a run differ much, as their quartiles tell, more of them are needed.
On a busy machine, --cpu-time with --threads 1 counts the processor's time.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from operator import truediv

import click
import torch

import mtvit_core
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT


def main() -> None:
    """Print a table of median latencies and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="vit_small_patch16_224")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", default="det,seg,pose")
    parser.add_argument("--queries", nargs="+", default=["task"], choices=("task", "instance"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    canvas, tasks = (options.size, options.size), options.tasks.split(",")
    image = torch.randint(0, 256, (1, 3, *canvas), dtype=torch.uint8)
    models = {
        queries: mtvit_core.build(options.backbone, tasks, canvas=canvas, queries=queries).eval()
        for queries in options.queries
    }
    backbone = models[options.queries[0]].backbone
    normalised = backbone.normalise(image)
    passes: dict[str, Callable[[], object]] = {
        "timm backbone": lambda: backbone.vit.forward_features(normalised),
        "our backbone, no tasks": lambda: backbone(image),
    }
    for queries, model in models.items():
        passes[f"queries by {queries}"] = partial(model, image)
        passes[f"queries by {queries}, decoded"] = partial(decoded, model, image)
    with ExitStack() as stack:
        for model in models.values():
            stack.enter_context(evaluating(model))
        times = alternate(
            passes, options.rounds, time.process_time if options.cpu_time else time.perf_counter
        )
    base = times["timm backbone"]
    click.echo(
        f"{options.backbone}, {options.tasks}, {canvas[0]} x {canvas[1]}, {torch.get_num_threads()} threads, "
        "fp32: median, its ratio, quartiles of the ratios of each round"
    )
    for name, values in times.items():
        median = statistics.median(values)
        quartiles = statistics.quantiles(map(truediv, values, base), n=4)
        spread = " ".join(f"{ratio:6.2f} x" for ratio in quartiles)
        click.echo(f"{name:30s} {median * 1e3:8.1f} ms {median / statistics.median(base):6.2f} x  {spread}")


def decoded(model: MultiTaskViT, image: torch.Tensor) -> None:
    """Make the results of every task from one image."""
    meta = [model.letterbox.meta(image.shape[2], image.shape[3])]
    answers = model.answers(image, "image")
    for task in model.task_list:
        task.decode(answers[task.name], meta)


def alternate(
    passes: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time every pass once per round, in any order, after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in passes}
    order = random.Random(0)
    for round_ in range(rounds + 1):
        for name in order.sample(list(passes), len(passes)):
            started = clock()
            passes[name]()
            if round_:
                times[name].append(clock() - started)
    return times


if __name__ == "__main__":
    main()
