"""Which samples make up which step: a pure function of seed and step, so resuming needs no loader state."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import count

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from torch.utils.data import Sampler

from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.packed import Key

# Keeps the streams of random numbers for the order apart from those for augmentation.
_ORDER_STREAM = 1


class EpochSampler(Sampler[list[Key]]):
    """Batches of (epoch, index) keys; give it to ``DataLoader`` as ``batch_sampler``.

    Every epoch holds each image once, in an order of its own. Epochs follow each other without a gap, so a
    batch may hold the end of one and the start of the next, and all batches are full; only the last batch of
    a finite run may be short. Several processes share the work: of each global batch of ``batch_size *
    world`` keys, process ``rank`` gets its own contiguous part.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        *,
        shuffle: bool = True,
        epochs: int | None = None,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        mixture: Mixture | None = None,
    ) -> None:
        """Keep the numbers that define the order.

        Args:
            length: Number of images, at least 1.
            batch_size: Keys of one batch of one process.
            seed: Number of the run.
            shuffle: Whether the order is random; without, images come as they are stored.
            epochs: Number of epochs, None for a run without end.
            start: Step to start from; the batches are those a run from step 0 would give from there on.
            rank: Number of this process.
            world: Number of processes.
            mixture: Of which data set each image is, where there are several; ``shuffle`` is then True.

        Raises:
            ValueError: A number is out of its range.
        """
        if min(length, batch_size) < 1 or min(seed, start) < 0 or not 0 <= rank < world:
            raise ValueError(
                f"EpochSampler: length {length} and batch_size {batch_size} must be at least 1, seed {seed} "
                f"and start {start} at least 0, rank {rank} from 0 to below world {world}."
            )
        self.length, self.batch_size, self.seed, self.shuffle = length, batch_size, seed, shuffle
        self.epochs, self.start, self.rank, self.world = epochs, start, rank, world
        self.mixture = mixture

    def batch(self, step: int) -> list[Key]:
        """Return the keys of one step of this process."""
        first = (step * self.world + self.rank) * self.batch_size
        end = first + self.batch_size
        if self.epochs is not None:
            end = min(end, self.epochs * self.length)
        return [self._key(position) for position in range(first, end)]

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield the batches from step ``start`` on."""
        for step in count(self.start):
            keys = self.batch(step)
            if not keys:
                return
            yield keys

    def __len__(self) -> int:
        """Return the number of batches left from ``start`` on.

        Raises:
            TypeError: The run has no end.
        """
        if self.epochs is None:
            raise TypeError("a sampler without a number of epochs has no length")
        keys = self.epochs * self.length - self.rank * self.batch_size
        return max(0, -(-keys // (self.batch_size * self.world)) - self.start)

    def _key(self, position: int) -> Key:
        if self.mixture is not None:
            return self.mixture.key(position, self.seed)
        epoch, place = divmod(position, self.length)
        return epoch, int(_order(self.length, self.seed, epoch)[place]) if self.shuffle else place


@lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> Int64[ndarray, " length"]:
    return np.random.default_rng([_ORDER_STREAM, seed, epoch]).permutation(length)
