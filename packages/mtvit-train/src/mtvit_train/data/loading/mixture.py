"""Which sample of several data sets comes when: by weight, and a pure function of the position.

    block   n = sum of the n_s samples of all data sets; n w_s / sum w of them are of data set s, rounded by
            largest remainder, at least one; their order is drawn for each block
    sample  the k-th one drawn of data set s is number k mod n_s of its pass k div n_s, in an order drawn for
            each pass

Without weights a block holds every sample once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

# Keep the streams of random numbers for blocks and passes apart from all others.
_BLOCK_STREAM, _PASS_STREAM = 6, 7


@dataclass(frozen=True)
class Mixture:
    """Data sets that share the samples of a run.

    Attributes:
        sizes: Samples n_s of each data set; one without any is never drawn.
        quotas: Samples of each in a block.
    """

    sizes: tuple[int, ...]
    quotas: tuple[int, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], weights: Sequence[float]) -> "Mixture":
        """Share a block out.

        Args:
            sizes: Samples of each data set, at least one in all.
            weights: Shares of the samples, up to a factor; of the same length.
        """
        total = sum(sizes)
        wanted = np.where(np.array(sizes) > 0, weights, 0.0)
        exact = wanted / wanted.sum() * total
        quotas = np.maximum(np.floor(exact), wanted > 0).astype(int)
        largest_remainders = np.argsort(quotas - exact, kind="stable")
        quotas[largest_remainders[: max(0, total - quotas.sum())]] += 1
        while quotas.sum() > total:  # those of less than one sample have got one
            quotas[quotas.argmax()] -= 1
        return cls(tuple(sizes), tuple(quotas.tolist()))

    def key(self, position: int, seed: int) -> tuple[int, int]:
        """Return pass and index of the sample at a position of the run."""
        block, at = divmod(position, sum(self.sizes))
        members, numbers = _block(self.quotas, seed, block)
        s, nth = int(members[at]), int(numbers[at])
        turn, number = divmod(block * self.quotas[s] + nth, self.sizes[s])
        first = sum(self.sizes[:s])
        return turn, first + int(_pass(self.sizes[s], seed, s, turn)[number])

    def drawn(self, samples: int, seed: int) -> tuple[int, ...]:
        """Return how many of the first samples of a run are of each data set."""
        blocks, rest = divmod(samples, sum(self.sizes))
        members, _ = _block(self.quotas, seed, blocks)
        begun = np.bincount(members[:rest], minlength=len(self.sizes))
        return tuple((blocks * np.array(self.quotas) + begun).tolist())


@lru_cache(maxsize=4)
def _block(
    quotas: tuple[int, ...], seed: int, block: int
) -> tuple[Int64[ndarray, " samples"], Int64[ndarray, " samples"]]:
    """Data set of every place of a block, and how many of that data set come before it there."""
    owners = np.repeat(np.arange(len(quotas)), quotas)
    order = np.random.default_rng([_BLOCK_STREAM, seed, block]).permutation(len(owners))
    members = owners[order]
    numbers = np.empty(len(owners), np.int64)
    for s, quota in enumerate(quotas):
        numbers[members == s] = np.arange(quota)
    return members, numbers


@lru_cache(maxsize=32)
def _pass(size: int, seed: int, member: int, turn: int) -> Int64[ndarray, " samples"]:
    return np.random.default_rng([_PASS_STREAM, seed, member, turn]).permutation(size)
