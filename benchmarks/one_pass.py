"""Latency of det + seg + pose in one pass against the bare timm backbone, in one run, decoding included.

    python benchmarks/one_pass.py --size 640 --rounds 7

Bare and multi-task passes alternate, so that both see the same machine; the ratio of medians is what counts.
On a busy machine, --cpu-time with --threads 1 counts the processor's time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import click
import torch

import mtvit_core
from mtvit_core.modes import evaluating


def main() -> None:
    """Print a table of median latencies and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="vit_small_patch16_224")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", default="det,seg,pose")
    parser.add_argument("--queries", default="task", choices=("task", "instance"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    canvas = (options.size, options.size)
    tasks = options.tasks.split(",")
    model = mtvit_core.build(options.backbone, tasks, canvas=canvas, queries=options.queries).eval()
    vit = model.backbone.vit
    image = torch.randint(0, 256, (1, 3, *canvas), dtype=torch.uint8)
    normalised = model.backbone.normalise(image)
    meta = [model.letterbox.meta(*canvas)]

    def bare() -> None:
        vit.forward_features(normalised)

    def forward() -> None:
        model(image)

    def whole() -> None:
        predictions = model.answers(image, "image")
        for task in model.task_list:
            task.decode(predictions[task.name], meta)

    with evaluating(model):
        times = alternate(
            {"timm backbone": bare, "all tasks": forward, "all tasks, decoded": whole},
            options.rounds,
            time.process_time if options.cpu_time else time.perf_counter,
        )
    base = statistics.median(times["timm backbone"])
    threads = torch.get_num_threads()
    click.echo(
        f"{options.backbone}, {options.tasks}, queries by {options.queries}, {canvas[0]} x {canvas[1]}, "
        f"{threads} threads, fp32"
    )
    for name, values in times.items():
        median = statistics.median(values)
        click.echo(f"{name:20s} {median * 1e3:8.1f} ms   {median / base:5.2f} x")


def alternate(
    passes: dict[str, Callable[[], None]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time every pass once per round, after one round of warming up."""
    times: dict[str, list[float]] = {name: [] for name in passes}
    for round_ in range(rounds + 1):
        for name, run in passes.items():
            started = clock()
            run()
            if round_:
                times[name].append(clock() - started)
    return times


if __name__ == "__main__":
    main()
