"""The processes of a run, as torchrun starts them: which one this is, and how they go on or end together."""

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

# Its functions keep the group that is there at import as a default argument. Imported here it finds none;
# else torch imports it during the first step (docs/decisions/020-threads-of-gloo-end-first.md).
import torch.distributed.nn.functional
from jaxtyping import Float
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from mtvit_core.device import pick_device
from mtvit_core.errors import ConfigError, MtvitError

T = TypeVar("T")

#: How long processes wait for each other: longer than the first one takes to write scenes or to score a large
#: data set, while the others have nothing to do. A process that ends is noticed at once.
PATIENCE = timedelta(hours=3)

#: Meshes of this process; caches of torch keep them, and each keeps the group it was made of.
_MESHES: list[DeviceMesh] = []


def mean_over_ranks(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Return the mean of a tensor over the processes of a run, without gradient; of one process, itself."""
    values = values.detach()
    if not (dist.is_available() and dist.is_initialized()):
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


class RankError(MtvitError):
    """The processes of a run cannot work together."""


@dataclass(frozen=True)
class Ranks:
    """Which process of a run this is.

    Attributes:
        rank: Its number.
        world: Number of processes.
        on_machine: Its number among those of its machine; its GPU has the same.
    """

    rank: int = 0
    world: int = 1
    on_machine: int = 0

    @classmethod
    def current(cls) -> "Ranks":
        """Return this process among those that have joined; alone without others."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        rank, world = distributed.get_rank(), distributed.get_world_size()
        return cls(rank, world, int(os.environ.get("LOCAL_RANK", rank)))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes, draws and prints."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Return the device of this process: of several, each has a GPU of its own.

        Args:
            name: ``train.device``.

        Raises:
            ConfigError: the device is not there, or is one for all processes.
        """
        if self.world == 1 or name == "cpu":
            return pick_device(name)
        if name == "auto":
            return pick_device(f"cuda:{self.on_machine}" if torch.cuda.is_available() else "cpu")
        if name == "cuda":
            return pick_device(f"cuda:{self.on_machine}")
        raise ConfigError(
            f"config: train.device is {name!r}, but this run has {self.world} processes, each with a device "
            "of its own; take auto, cuda or cpu."
        )

    def mesh(self, device: torch.device) -> DeviceMesh:
        """Return all processes in a line, to share out tensors over; ``joined`` lets go of it.

        Args:
            device: Where the tensors are.
        """
        made = init_device_mesh(device.type, (self.world,))
        _MESHES.append(made)
        return made

    def share(self, batch_size: int, passes: int) -> int:
        """Return how many images of a batch this process sees.

        Args:
            batch_size: Images of one update.
            passes: Passes in which a process goes through its share.

        Raises:
            ConfigError: the batch cannot be shared out evenly.
        """
        parts = self.world * passes
        if batch_size % parts:
            fits = parts * max(1, round(batch_size / parts))
            raise ConfigError(
                f"config: train.batch_size is {batch_size}, which {self.world} process(es) with "
                f"train.accumulate = {passes} cannot share out evenly; the nearest that fits is {fits}."
            )
        return batch_size // self.world

    def lead(self, work: Callable[[], T]) -> T:
        """Let the first process do something while the others wait; all get what it returns.

        Raises:
            SystemExit: in the other processes, where the first one failed; it says why.
        """
        if self.world == 1:
            return work()
        outcome: list[Any] = [False, None]
        try:
            if self.leads:
                outcome = [True, work()]
        finally:
            distributed.broadcast_object_list(outcome, src=0)
        done, result = outcome
        if not done:
            raise SystemExit(2)
        return result  # type: ignore[no-any-return]  # what the first process sent

    def together(self, work: Callable[[], T]) -> T:
        """Do something in every process; where it fails in one, all end, and the first of these says why.

        Raises:
            MtvitError: what failed here.
            SystemExit: it failed elsewhere, or elsewhere too.
        """
        if self.world == 1:
            return work()
        failure: MtvitError | None = None
        try:
            result = work()
        except MtvitError as error:
            failure = error
        failed = self.exchange(failure is not None)
        if any(failed):
            if failure is not None and self.rank == failed.index(True):
                raise failure
            raise SystemExit(2)
        return result

    def agree(self, work: Callable[[], T]) -> list[T]:
        """Do something in every process; where it fails in one, all go on alike.

        Returns:
            What it returned, by process.

        Raises:
            MtvitError: in all processes, what the first that failed has raised.
        """
        outcome: T | MtvitError
        try:
            outcome = work()
        except MtvitError as error:
            outcome = error
        done: list[T] = []
        for found in self.exchange(outcome):
            if isinstance(found, MtvitError):
                raise found
            done.append(found)
        return done

    def exchange(self, value: T) -> list[T]:
        """Return what all processes give, to all of them."""
        values: list[Any] = [value] * self.world
        if self.world > 1:
            distributed.all_gather_object(values, value)
        return values

    def gather(self, value: T) -> list[T]:
        """Return what all processes give, to the first one; the others get nothing."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.gather_object(value, values if self.leads else None)
        return values if self.leads else []

    def largest(self, value: float, device: torch.device) -> float:
        """Return the largest value that any process gives."""
        if self.world == 1:
            return value
        found = torch.tensor(value, dtype=torch.float32, device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return found.item()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Meet the other processes that torchrun has started, if it has, and part from them at the end.

    Args:
        device: ``train.device``.

    Raises:
        ConfigError: the device does not fit.
        RankError: another process has ended before its time.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or distributed.is_initialized():  # a run inside another has met them already
        yield Ranks.current()
        return
    rank = int(os.environ["RANK"])
    own = Ranks(rank, world, int(os.environ.get("LOCAL_RANK", rank))).device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    # Objects and signals travel between the CPUs, gradients between the GPUs.
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE, rank=rank, world_size=world
    )
    try:
        yield Ranks.current()
    except RuntimeError as error:  # the others may be gone, or wait for what this process no longer sends
        if not _is_of_distributed(error):
            raise
        raise RankError(
            f"process {rank}: lost the other processes of this run; the one that ended first says why."
        ) from error
    except (Exception, SystemExit) as error:
        if own.type == "cpu":  # NCCL might wait for the others
            _part(error)
        if isinstance(error, MtvitError) and rank:
            raise type(error)(f"process {rank}: {error}") from error
        raise
    # Only after a good end: a process that failed must not wait for the others here.
    distributed.barrier()
    _part()


def _part(error: BaseException | None = None) -> None:
    """End the group and its threads, which must not outlive the interpreter: they free tensors of Python.

    Args:
        error: Whose frames hold what holds the group.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
    for mesh in _MESHES:
        mesh._pg_registry.clear()  # torch has no name for it outside
    _MESHES.clear()
    gc.collect()
    distributed.destroy_process_group()


def _is_of_distributed(error: RuntimeError) -> bool:
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
