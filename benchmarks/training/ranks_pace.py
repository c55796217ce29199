"""Several processes of one thread each against one process of as many threads: seconds per update.

    python -m benchmarks.training.ranks_pace --processes 2 --updates 12

Both train ViT-Ti with det, seg and pose at 224 px on the same batch of eight images (fp32, gloo, CPU). They
take turns, update by update, and the side that waits sleeps, so that whatever else the machine does meets
both; the ratio is that of neighbours.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from benchmarks.robustness.ranks import Case, make_trainer
from benchmarks.training.trainer_overhead import show
from torch import distributed

from mtvit_train.distributed.ranks import joined
from mtvit_train.scenes.writer import write_scenes

#: Images of a batch.
BATCH = 8
#: What both sides train.
CASE = Case(model={"backbone": "vit_tiny_patch16_224", "image_size": (224, 224)}, train={"batch_size": BATCH})
#: Updates at the start that do not count.
WARM = 2
#: Longest update.
PATIENCE = timedelta(minutes=10)


def updater(data: Path, updates: int) -> Callable[[], None]:
    """Return what updates a model from this process's share of the first batch."""
    trainer = make_trainer(CASE, data, updates)
    batches = {view: next(trainer._batches(view)) for view in trainer.model.views}
    return lambda: (trainer.update(batches), None)[1]


def seconds(work: Callable[[], None]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(data: Path, updates: int, port: int) -> None:
    """Make one update whenever the other side says so: the work of each of the processes."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        update = updater(data, updates)
        store = distributed.TCPStore("127.0.0.1", port, timeout=PATIENCE)

        def together() -> None:
            update()
            distributed.barrier()

        for number in range(updates):
            store.wait([f"go {number}"])
            distributed.barrier()
            took = seconds(together)
            if ranks.leads:
                store.set(f"took {number}", str(took))


def measure(data: Path, updates: int, processes: int) -> dict[str, list[float]]:
    """Return the seconds of every update of both sides, but the first ones."""
    torch.set_num_threads(processes)
    update = updater(data, updates)
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(processes), "-m", "benchmarks.training.ranks_pace"),
        *("--port", str(store.port), "--data", str(data), "--updates", str(updates - WARM)),
    ]
    one, several = f"1 process of {processes} threads", f"{processes} processes of 1 thread"
    times: dict[str, list[float]] = {one: [], several: []}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as others:
        try:
            for number in range(updates):
                alone = seconds(update)
                store.set(f"go {number}", "")
                together = float(store.get(f"took {number}"))
                if number >= WARM:
                    times[one].append(alone)
                    times[several].append(together)
        except BaseException:
            others.terminate()
            raise
    return times


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    updates = options.updates + WARM
    if options.port:
        in_turn(options.data, updates, options.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        write_scenes(data, train=BATCH, val=1, seed=3, size=224)
        times = measure(data, updates, options.processes)
    show(times, f"time per update, batch of {BATCH}")


if __name__ == "__main__":
    main()
