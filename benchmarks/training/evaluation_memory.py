"""Peak memory of evaluation against that of training, at the same size of image and of batch.

    python -m benchmarks.training.evaluation_memory --size 1280 --queries 200

Each is a process of its own, so that the peak is its own; memory is the largest resident set. Both begin with
the same model and data, whose share is told apart.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.scene import LARGEST_SIZE
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

ROLES = ("train", "evaluate")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of peaks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--depth", type=int, default=6)
    parser.add_argument("--size", type=int, default=1280)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--tasks", default="det,seg")
    parser.add_argument("--data", type=Path, help="Made if it is not there. [default: a temporary folder]")
    parser.add_argument("--role", choices=ROLES, help="Measure in this process, and print JSON.")
    options = parser.parse_args(arguments)
    if options.role:
        measure(options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary) / "scenes"
        if not data.exists():
            write_scenes(
                data, train=options.images, val=options.images, seed=0, size=min(options.size, LARGEST_SIZE)
            )
        peaks = {role: in_process(role, data, arguments or sys.argv[1:]) for role in ROLES}
    show(peaks, options)


def in_process(role: str, data: Path, arguments: Sequence[str]) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.training.evaluation_memory",
        *arguments,
        "--data",
        str(data),
        "--role",
        role,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace) -> None:
    """Train or evaluate, and print the resident set before and at its peak, in MiB."""
    torch.set_num_threads(1)
    config = settings(options)
    data = read_data(config, options.data)
    model = make_model(config, data.train.categories)
    before = peak()
    if options.role == "train":
        weighting = make_weighting(config, task_names(config))
        trainer = Trainer(
            model, make_split(config, model, data.train, training=True), config.train, weighting
        )
        trainer.run(Course())
    else:
        evaluate(model.eval(), make_split(config, model, data.val, training=False), options.batch_size)
    print(json.dumps({"before": before, "peak": peak()}))


def settings(options: argparse.Namespace) -> RunConfig:
    """The settings of both."""
    tasks = options.tasks.split(",")
    assignments = [
        f"model.backbone={options.backbone}",
        f"model.options={{ depth = {options.depth} }}",
        f"model.image_size=[{options.size}, {options.size}]",
        f"train.batch_size={options.batch_size}",
        "train.steps=1",
        "train.device=cpu",
        "train.precision=fp32",
        *(f"tasks.{task}.queries={options.queries}" for task in tasks),
        *(f"tasks.{task}.top_k={options.queries}" for task in tasks),
    ]
    return read_run(None, {"plugins": tuple(tasks), "data": str(options.data)}, tuple(assignments))


def peak() -> float:
    """The largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def show(peaks: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    """Print the table."""
    model = f"{options.backbone}, {options.depth} blocks, {options.tasks}"
    title = f"{model}, {options.size} px, {options.queries} queries"
    table = Table(
        "batch of " + str(options.batch_size), "before (MiB)", "peak (MiB)", "added (MiB)", title=title
    )
    for role, found in peaks.items():
        added = found["peak"] - found["before"]
        table.add_row(role, f"{found['before']:.0f}", f"{found['peak']:.0f}", f"{added:.0f}")
    console = Console()
    console.print(table)
    ratio = peaks["evaluate"]["peak"] / peaks["train"]["peak"]
    console.print(f"Peak of evaluation over peak of training: {ratio:.2f}")


if __name__ == "__main__":
    main()
