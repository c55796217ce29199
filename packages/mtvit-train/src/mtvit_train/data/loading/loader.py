"""Batches in the order of a sampler, loaded here or by other processes."""

import atexit
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset

from mtvit_core.errors import DataError
from mtvit_train.data.packed import Key
from mtvit_train.data.samples.images import collate
from mtvit_train.distributed.stop_signals import ignore_signals


class Loading(Iterator[Any]):
    """The batches of a sampler, one after the other.

    Attributes:
        seconds: What it took to load the last batch, in the process that did.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        sampler: Iterable[list[Key]],
        workers: int,
        join: Callable[[Sequence[Any]], Any],
    ) -> None:
        """Prepare the loader; see ``load``."""
        self.seconds = 0.0
        self._loader: DataLoader[Any] = DataLoader(
            _Timed(dataset),
            batch_sampler=sampler,
            collate_fn=partial(_joined, join),
            num_workers=workers,
            worker_init_fn=_start_worker,
            # Of its own: making an iterator draws a number, which would be missing from the model's stream.
            generator=torch.Generator(),
        )
        self._loaded: Iterator[tuple[Any, float]] | None = None
        _OPEN.add(self)

    def __next__(self) -> Any:
        """Return the next batch."""
        if self._loaded is None:
            self._loaded = iter(self._loader)
        try:
            batch, self.seconds = next(self._loaded)
        except DataError as error:
            # From another process an error comes as its whole traceback; what follows its name is its own.
            name = f"{DataError.__module__}.{DataError.__qualname__}: "
            raise DataError(str(error).rstrip().rsplit(name, 1)[-1]) from error
        return batch

    def close(self) -> None:
        """End the processes that load."""
        self._loaded = iter(())


def load(
    dataset: Dataset[Any],
    sampler: Iterable[list[Key]],
    workers: int = 0,
    join: Callable[[Sequence[Any]], Any] = collate,
) -> Loading:
    """Return the batches of a sampler.

    Args:
        dataset: Where the samples come from.
        sampler: Which samples make up which batch.
        workers: Loader processes; 0 loads in this one. The batches are the same for any number.
        join: Puts samples together to a batch.

    Raises:
        DataError: While iterating: a sample cannot be loaded; one line, whichever process found it.
    """
    return Loading(dataset, sampler, workers, join)


class _Timed(Dataset[Any]):
    """A data set that says when it began with a batch."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Sequence[Key]) -> tuple[float, list[Any]]:
        started = time.perf_counter()
        return started, [self.dataset[key] for key in keys]


def _joined(join: Callable[[Sequence[Any]], Any], loaded: tuple[float, list[Any]]) -> tuple[Any, float]:
    started, samples = loaded
    return join(samples), time.perf_counter() - started


def _start_worker(_: int) -> None:
    """Leave signals to the process that trains: the batch it waits for must still come."""
    ignore_signals()


_OPEN: WeakSet[Loading] = WeakSet()


@atexit.register
def _close_all() -> None:
    """End the processes of loaders that an error left open: they do not listen to SIGTERM."""
    for loading in list(_OPEN):
        loading.close()
    left = [process for process in multiprocessing.active_children() if process.daemon]
    if left:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise an error for each
        for process in left:
            process.kill()
