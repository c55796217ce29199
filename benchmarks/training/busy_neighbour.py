"""What one busy neighbour costs training on a CPU, by number of threads and how they wait.

    python -m benchmarks.training.busy_neighbour

Each row trains the demo's model in a process of its own, first alone, then beside a process that multiplies
matrices in two threads without a pause. Images a second are the median of what the run recorded.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

BUSY = "import torch; torch.set_num_threads(2); a = torch.rand(1500, 1500)\nwhile True: a @ a"
#: Name, threads and OMP_WAIT_POLICY of each row; an empty policy is the command's own choice.
ROWS = (
    ("as it comes", 0, ""),
    ("two threads, spinning", 2, "active"),
    ("two threads, sleeping", 2, "passive"),
    ("one thread", 1, "passive"),
)


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Keep the cores busy meanwhile, or not."""
    process = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def pace(threads: int, policy: str, steps: int, busy: bool) -> float:
    """Return images a second of a run of the demo's settings."""
    environment = {**os.environ, **({"OMP_WAIT_POLICY": policy} if policy else {})}
    settings = ("scenes={train=64, val=1, size=128}", "train.log_every=2", f"train.threads={threads}")
    with tempfile.TemporaryDirectory() as folder, neighbour(busy):
        out = Path(folder) / "run"
        sets = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "mtvit_train", "--config", "scenes-demo", "--steps", str(steps)]
        command += ["--plugins", "det", *sets, "--out", str(out)]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = [record["images_per_s"] for record in records if record["kind"] == "train"]
    return statistics.median(found[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    table = Table("", "alone, images/s", "beside a busy process", "ratio")
    for name, threads, policy in ROWS:
        alone, beside = (pace(threads, policy, given.steps, busy) for busy in (False, True))
        table.add_row(name, f"{alone:.1f}", f"{beside:.1f}", f"{beside / alone:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
