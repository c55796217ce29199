"""Runs that are killed at random moments and resumed, against one that nobody kills: equal bit for bit?

    python -m benchmarks.robustness.random_kills --kills 30 --hard 10 --out kills

Each run is a process of its own that is killed once, at a moment drawn from its whole course: some by
SIGKILL, the others by SIGTERM, SIGINT and SIGUSR1 in turn, with 0, 1 or 2 loader processes in turn. Then it
is resumed. Compared are the last checkpoint (weights, optimiser, averaged weights, random numbers), the saved
model, metrics, pictures, and metrics.jsonl without what tells of time. Processes are forked from one that has
loaded the packages, which spares 60 starts of torch.
"""

import argparse
import atexit
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import click

import mtvit_train.runs.run  # noqa: F401  (loaded once, for all processes)
from mtvit_train.cli.main import main as mtvit_train_command
from mtvit_train.engine.meter import Pace
from mtvit_train.scenes.writer import write_scenes

SETTINGS = {
    "model.backbone": "vit_tiny_patch16_224",
    "model.options": "{patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2, drop_path_rate = 0.1}",
    "model.image_size": "[64, 64]",
    "model.person_size": "[64, 48]",
    "train.batch_size": "2",
    "train.log_every": "7",
    "train.evaluate_every": "40",
    "train.checkpoint_every": "25",
    "train.threads": "1",
    "train.optimizer": "muon",
    "train.weighting": "gradnorm",
    "tasks.det.queries": "6",
    "tasks.pose.variant": "vitpose-simple",
    "records.worst": "0",
}
SOFT = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
COMPARED = (
    "model.safetensors",
    "metrics.json",
    "details.json",
    "labels.png",
    "predictions.png",
)


@dataclass(frozen=True)
class Kill:
    """A run that was killed.

    Attributes:
        name: Of the signal.
        workers: Loader processes.
        after: Seconds from the start of the process.
        code: Its exit code.
        step: Step at which it was resumed; None where it had written nothing, or had ended.
        differing: What differs from the run that was not killed.
    """

    name: str
    workers: int
    after: float
    code: int
    step: int | None
    differing: list[str]


def arguments(plugins: str, data: Path, out: Path, steps: int, workers: int) -> list[str]:
    """Arguments of a run."""
    settings = SETTINGS | {"train.workers": str(workers), "train.steps": str(steps)}
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return ["--plugins", plugins, "--data", str(data), "--out", str(out), *sets]


def start(given: list[str], said: Path) -> int:
    """Start ``mtvit-train`` in a process of its own; return its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        mtvit_train_command(given, prog_name="mtvit-train")
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


def wait(process: int) -> int:
    """Wait for a process; return its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def finish(given: list[str], said: Path) -> str:
    """Run to the end and return what was said."""
    code = wait(start(given, said))
    if code:
        raise SystemExit(f"{' '.join(given)}\nended with {code}:\n{said.read_text()}")
    return said.read_text()


def kill(given: list[str], out: Path, number: signal.Signals, after: float) -> tuple[int, int | None]:
    """Start a run, kill it, resume it; return its exit code and the step at which it was resumed."""
    said = out.parent / "said.txt"
    process = start(given, said)
    time.sleep(after)
    os.kill(process, number)
    code = wait(process)
    started = (out / "config.json").is_file()
    told = finish(["--out", str(out), "--resume"] if started else given, said)
    at = [line.split("going on from step ")[1].split()[0] for line in told.splitlines() if "going on" in line]
    return code, int(at[0]) if at else None


def records(out: Path) -> list[dict[str, object]]:
    """Lines of ``metrics.jsonl`` without what tells of time."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in Pace.__dataclass_fields__} for line in lines
    ]


def plain(out: Path, steps: int) -> dict[str, object]:
    """What the last checkpoint holds beside tensors, without settings that may differ."""
    found: dict[str, object] = json.loads((out / f"checkpoints/step-{steps:08d}/state.json").read_text())
    del found["origin"]
    return found


def differing(one: Path, other: Path, steps: int) -> list[str]:
    """Name what differs between two runs."""
    files = (*COMPARED, f"checkpoints/step-{steps:08d}/state.safetensors")
    found = [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()]
    found += ["state.json"] if plain(one, steps) != plain(other, steps) else []
    return found + (["metrics.jsonl"] if records(one) != records(other) else [])


def main() -> None:
    """Print a line for every kill, and how many runs were equal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--hard", type=int, default=10, help="how many of them by SIGKILL")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--plugins", default="det,pose")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="of every run")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    SETTINGS.update(setting.split("=", 1) for setting in options.set)
    data, whole = options.out / "scenes", options.out / "whole"
    write_scenes(data, train=13, val=6, seed=3, size=64)
    began = time.perf_counter()
    finish(arguments(options.plugins, data, whole, options.steps, workers=0), options.out / "said.txt")
    lasted = time.perf_counter() - began
    click.echo(f"{options.steps} steps, not killed: {lasted:.1f} s")
    draw = random.Random(options.seed)
    kills: list[Kill] = []
    for place in range(options.kills):
        number = signal.SIGKILL if place < options.hard else SOFT[place % len(SOFT)]
        workers, after, out = place % 3, draw.uniform(0, lasted), options.out / "killed"
        shutil.rmtree(out, ignore_errors=True)
        code, step = kill(arguments(options.plugins, data, out, options.steps, workers), out, number, after)
        kills.append(Kill(number.name, workers, after, code, step, differing(whole, out, options.steps)))
        click.echo(kills[-1])
    equal = sum(not one.differing for one in kills)
    click.echo(f"{equal} of {options.kills} equal, {options.hard} of them killed by SIGKILL")
    raise SystemExit(equal != options.kills)


if __name__ == "__main__":
    main()
