"""Batches in the order of a sampler, loaded here or by other processes."""

import atexit
import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader, Dataset

from mtvit_core.errors import DataError
from mtvit_core.structures.batch import Batch
from mtvit_train.data.packed import Key
from mtvit_train.data.samples.images import Sample, collate
from mtvit_train.distributed.stop_signals import ignore_signals


class Loading(Iterator[Batch]):
    """The batches of a sampler, one after the other.

    Attributes:
        seconds: What it took to load the last batch, in the process that did.
    """

    def __init__(self, dataset: Dataset[Sample], sampler: Iterable[list[Key]], workers: int) -> None:
        """Prepare the loader; see ``load``."""
        self.seconds = 0.0
        self._loader: DataLoader[Any] = DataLoader(
            _Timed(dataset),
            batch_sampler=sampler,
            collate_fn=_collate,  # type: ignore[arg-type]  # torch expects the list that __getitems__ need not give
            num_workers=workers,
            worker_init_fn=_start_worker,
            # Of its own: making an iterator draws a number, which would be missing from the model's stream.
            generator=torch.Generator(),
        )
        self._loaded: Iterator[tuple[Batch, float]] | None = None
        _OPEN.add(self)

    def __next__(self) -> Batch:
        """Return the next batch."""
        if self._loaded is None:
            self._loaded = iter(self._loader)
        try:
            batch, self.seconds = next(self._loaded)
        except DataError as error:
            # From another process an error comes as its whole traceback; the last line is its own.
            line = str(error).rstrip().rsplit("\n", 1)[-1]
            raise DataError(
                line.removeprefix(f"{DataError.__module__}.{DataError.__qualname__}: ")
            ) from error
        return batch

    def close(self) -> None:
        """End the processes that load."""
        self._loaded = iter(())


def load(dataset: Dataset[Sample], sampler: Iterable[list[Key]], workers: int = 0) -> Loading:
    """Return the batches of a sampler.

    Args:
        dataset: Where the samples come from.
        sampler: Which samples make up which batch.
        workers: Loader processes; 0 loads in this one. The batches are the same for any number.

    Raises:
        DataError: While iterating: a sample cannot be loaded; one line, whichever process found it.
    """
    return Loading(dataset, sampler, workers)


class _Timed(Dataset[Sample]):
    """A data set that says when it began with a batch."""

    def __init__(self, dataset: Dataset[Sample]) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Sequence[Key]) -> tuple[float, list[Sample]]:
        started = time.perf_counter()
        return started, [self.dataset[key] for key in keys]


def _collate(loaded: tuple[float, list[Sample]]) -> tuple[Batch, float]:
    started, samples = loaded
    return collate(samples), time.perf_counter() - started


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
