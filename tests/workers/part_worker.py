"""Checkpoints that two processes write, for ``test_sharded_checkpoints.py``; torchrun starts this file."""

import errno
import json
import os
import resource
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor

from mtvit_core.errors import CheckpointError
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.state import atomic_folder
from mtvit_train.state.checkpoints import Checkpoints
from mtvit_train.state.state_tree import read
from support.commands.processes import gloo_threads

#: Rows that two processes share out evenly, unevenly, and not at all.
ROWS = (20_000, 7, 1)
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def values(step: int) -> dict[str, Any]:
    """About 90 kB of whole tensors and plain data."""
    shared = {f"w{rows}": torch.arange(rows, dtype=torch.float32).reshape(rows, 1) + step for rows in ROWS}
    return {"step": step, "model": shared, "random": {"torch": torch.arange(9) * step}}


def state(step: int, mesh: DeviceMesh) -> dict[str, Any]:
    """The same with most tensors shared out."""
    found = values(step)
    parts = {name: distribute_tensor(value, mesh, [Shard(0)]) for name, value in found["model"].items()}
    return {**found, "model": parts}


def same(found: Any, step: int) -> bool:
    """Whether what was read is what was written at a step."""
    (ours, plain), (theirs, rest) = (atomic_folder.split(tree) for tree in (read(found), values(step)))
    return plain == rest and all(torch.equal(ours[path], theirs[path]) for path in theirs)


class Session:
    """Saves and reads, and notes what comes of it."""

    def __init__(self, out: Path, ranks: Ranks) -> None:
        self.said: list[str] = []
        self.ranks, self.mesh = ranks, ranks.mesh(torch.device("cpu"))
        self.made = Checkpoints(out, 2, self.said.append, ranks)

    def save(self, step: int, refused: int | None = None, size: int = 1000) -> dict[str, Any]:
        """Save while one process may write no file beyond a size."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self.ranks.rank == refused:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        saved = self.made.save(step, state(step, self.mesh))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return self.outcome(saved)

    def save_unflushed(self, step: int, refused: int, call: int) -> dict[str, Any]:
        """Save while the disk of one process turns out to be full when it is flushed for the n-th time."""
        flush, count = atomic_folder.flush, iter(range(1, 100))

        def full(path: Path) -> None:
            if next(count) == call and self.ranks.rank == refused:
                raise NO_SPACE
            flush(path)

        atomic_folder.flush = full
        saved = self.made.save(step, state(step, self.mesh))
        atomic_folder.flush = flush
        return self.outcome(saved)

    def newest(self) -> dict[str, Any]:
        """Read the newest that is whole."""
        try:
            found = self.made.newest()
        except CheckpointError as error:
            return self.outcome(str(error))
        return self.outcome(None if found is None else found["step"] if same(found, found["step"]) else -1)

    def outcome(self, result: Any) -> dict[str, Any]:
        """What came of it: the result, what is there, what of it is whole, and what was said."""
        distributed.barrier()
        whole = []
        for step in self.made.steps():
            with suppress(CheckpointError):
                whole += [step] if same(atomic_folder.open_folder(self.made.path(step)), step) else []
        names = [path.name for path in self.made.folder.glob(".*")]
        told, self.said[:] = list(self.said), []
        distributed.barrier()
        return {
            "result": result,
            "steps": self.made.steps(),
            "whole": whole,
            "last": self.made.last,
            "left": names,
            "said": told,
        }


def damage(folder: Path, how: str, ranks: Ranks) -> None:
    """Cut the file of the second process, change a bit of it, or remove it or its sum."""
    path, sums = folder / "state-1.safetensors", folder / "SHA256SUMS"
    if ranks.leads:
        content = bytearray(path.read_bytes())
        if how == "cut":
            path.write_bytes(content[:-100])
        elif how == "changed":
            content[-1] ^= 1
            path.write_bytes(content)
        elif how == "missing":
            path.unlink()
        else:
            lines = sums.read_text().splitlines(keepends=True)
            sums.write_text("".join(line for line in lines if path.name not in line))
    distributed.barrier()


def main(out: Path) -> None:
    """Do it all, and leave a file per process."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        session = Session(out, ranks)
        found = {"none": session.newest()}
        found |= {f"save {step}": session.save(step) for step in (5, 10, 15)}
        for rank in (0, 1):
            for size in (0, 500, 30_000):
                found[f"process {rank} has {size} bytes"] = session.save(20, rank, size)
        found["flush of process 1"] = session.save_unflushed(20, 1, 1)
        found |= {f"flush {call} of process 0": session.save_unflushed(20, 0, call) for call in range(1, 5)}
        found["newest"] = session.newest()
        for how in ("cut", "changed", "missing", "without sum"):
            session.save(20)
            damage(session.made.path(20), how, ranks)
            found[how] = session.newest()
            found[f"again after {how}"] = session.save(20)
        if ranks.leads:
            shutil.copytree(session.made.path(20), out / "kept")
        for step in session.made.steps():
            damage(session.made.path(step), "cut", ranks)
        found["all torn"] = session.newest()
        threads = [len(gloo_threads())]
        (out / f"rank-{ranks.rank}.json").write_text(json.dumps(found))
    (out / f"threads-{ranks.rank}.json").write_text(json.dumps([*threads, len(gloo_threads())]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
