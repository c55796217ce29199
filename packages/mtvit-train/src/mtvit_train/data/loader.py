"""Batches in the order of a sampler, loaded here or by other processes."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from mtvit_core.batch import Batch
from mtvit_core.errors import DataError
from mtvit_train.data.dataset import Sample, collate
from mtvit_train.data.sampler import EpochSampler


def load(dataset: Dataset[Sample], sampler: EpochSampler, workers: int = 0) -> Iterator[Batch]:
    """Yield the batches of a sampler.

    Args:
        dataset: Where the samples come from.
        sampler: Which samples make up which batch.
        workers: Loader processes; 0 loads in this one. The batches are the same for any number.

    Raises:
        DataError: A sample cannot be loaded; one line, whichever process found it.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers
    )
    try:
        yield from loader
    except DataError as error:
        # From another process an error comes as its whole traceback; the last line is its own.
        line = str(error).rstrip().rsplit("\n", 1)[-1]
        raise DataError(line.removeprefix(f"{DataError.__module__}.{DataError.__qualname__}: ")) from error
