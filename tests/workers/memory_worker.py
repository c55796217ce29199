"""How much memory saving and loading take beside what is held anyway; torchrun starts this file."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtvit_train.distributed.ranks import joined
from mtvit_train.state.checkpoints import Checkpoints
from mtvit_train.state.shards import own
from mtvit_train.state.state_tree import split
from mtvit_train.state.stored_tensors import Stored
from workers import rank_worker
from workers.shard_worker import make_trainer, updates

WIDE = {"patch_size": 16, "embed_dim": 1024, "depth": 2, "num_heads": 8}
MIB = 2**20


def memory(name: str) -> float:
    """MiB of this process by the system's names: VmRSS now, VmHWM at most since ``forget``, and others."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def forget() -> float:
    """Have the system count its most memory from here; return what it is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def mib(tensors: list[Tensor]) -> float:
    """What this process holds of tensors."""
    return sum(own(tensor).nbytes for tensor in tensors) / MIB


def measure(data: Path, out: Path) -> dict[str, float]:
    """Save a state and read it again; MiB of this process."""
    model = rank_worker.MODEL | {"options": WIDE}
    trainer, _ = make_trainer(data, model)
    updates(trainer, 1)
    checkpoints = Checkpoints(out, 2, print, trainer.ranks)
    before = forget()
    checkpoints.save(1, trainer.state_dict())
    saving = memory("VmHWM") - before
    weights = list(trainer.model.parameters())
    whole = 4 * sum(weight.numel() * weight.element_size() for weight in weights) / MIB
    share = mib([*split(trainer.state_dict(), leads=False)[0].values()])
    largest = max(weight.numel() * weight.element_size() for weight in weights) / MIB
    del trainer, weights
    fresh, _ = make_trainer(data, model)
    mapped, most = memory("RssFile"), watched()
    state = checkpoints.newest()
    assert state is not None
    fresh.load_state_dict(state)
    loading, mapped = max(most) - memory("RssAnon"), memory("RssFile") - mapped
    sizes = {"share": share, "whole": whole, "largest": largest}
    return {"saving": saving, "loading": loading, "mapped": mapped, **sizes}


def watched() -> list[float]:
    """Note the memory of this process, without pages of files, at every tensor that is read."""
    found: list[float] = []
    read = Stored._read

    def reading(self: Stored, *given: Any) -> Tensor:
        rows = read(self, *given)
        found.append(memory("RssAnon"))
        return rows

    Stored._read = reading  # type: ignore[method-assign]
    return found


def main(data: Path, out: Path) -> None:
    """Do it in several processes."""
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        found = ranks.gather(measure(data, out))
        if ranks.leads:
            (out / "memory.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
