"""What the recipe ``small`` reaches on a small data set: AP of every task, and minutes, by seed.

    python -m benchmarks.accuracy.small_data --data cells --plugins det --out runs/cells --seeds 0 1 2

Each seed is one run of ``mtvit-train --config small`` with no other setting than the seed. Minutes are those
of the whole command, from start to report; minutes of processor are those of all its threads.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table


def processor_seconds() -> float:
    """Seconds of processor of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(given: argparse.Namespace, seed: int) -> tuple[dict[str, float], float, float]:
    """Train with a seed; return the metrics, minutes, and minutes of processor."""
    out, began, used = given.out / f"seed-{seed}", time.perf_counter(), processor_seconds()
    command = [sys.executable, "-m", "mtvit_train", "--config", "small", "--plugins", given.plugins]
    sets = [part for setting in (f"train.seed={seed}", *given.set) for part in ("--set", setting)]
    command += ["--data", str(given.data), *sets, "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    minutes, busy = (time.perf_counter() - began) / 60, (processor_seconds() - used) / 60
    return json.loads((out / "metrics.json").read_text()), minutes, busy


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plugins", default="det")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="A setting more, as for mtvit-train.")
    given = parser.parse_args()
    names = [f"{task}/{metric}" for task in given.plugins.split(",") for metric in ("AP", "AP50")]
    table = Table("seed", *names, "minutes", "of processor")
    for seed in given.seeds:
        metrics, minutes, busy = run(given, seed)
        row = [f"{metrics[name]:.3f}" for name in names]
        table.add_row(str(seed), *row, f"{minutes:.1f}", f"{busy:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
