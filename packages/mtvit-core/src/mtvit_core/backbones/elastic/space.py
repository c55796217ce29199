"""The space of a supernet: what a genome may choose, and how genomes are drawn and varied.

Source of the ways in which it is varied: Chen et al. 2021 (AutoFormer), section 3.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Space:
    """Choices, each in rising order; every network of the space lies in its largest.

    Attributes:
        widths: Widths of the trunk.
        heads: Heads of a block.
        ratios: Ratios of a block.
        depths: Numbers of blocks that are there.
        blocks: Blocks of the largest network.
    """

    widths: tuple[int, ...]
    heads: tuple[int, ...]
    ratios: tuple[float, ...]
    depths: tuple[int, ...]
    blocks: int

    def __post_init__(self) -> None:
        """Put choices in order.

        Raises:
            ConfigError: there is none, one is not above 0, or the depths do not fit the blocks.
        """
        for name in ("widths", "heads", "ratios", "depths"):
            choices: tuple[float, ...] = vars(self)[name]
            if not choices or min(choices) <= 0:
                raise ConfigError(f"supernet: {name} are {list(choices)}; give one at least, all above 0.")
            object.__setattr__(self, name, tuple(sorted({round(choice, 6) for choice in choices})))
        least = self.blocks - len(_optional(self.blocks))
        if max(self.depths) != self.blocks or min(self.depths) < least:
            raise ConfigError(
                f"supernet: depths are {list(self.depths)}, but the largest network has {self.blocks} "
                f"blocks; give that number, and others from {least} on: first block and last third stay."
            )

    @property
    def largest(self) -> Genome:
        """The network that holds all others."""
        return self._uniform(self.widths[-1], self.heads[-1], self.ratios[-1], self.depths[-1])

    @property
    def smallest(self) -> Genome:
        """The network of all least choices."""
        return self._uniform(self.widths[0], self.heads[0], self.ratios[0], self.depths[0])

    @property
    def count(self) -> int:
        """How many genomes there are."""
        genes = len(self.heads) * len(self.ratios)
        return sum(len(self.widths) * genes**depth for depth in self.depths)

    def absent(self, depth: int) -> frozenset[int]:
        """Return the blocks that are absent at a depth.

        They are spread evenly over the blocks from the second one up to the last third: what reads the image
        and what late queries pass through stays.
        """
        places, gone = _optional(self.blocks), self.blocks - depth
        return frozenset(places[int((i + 0.5) * len(places) / gone)] for i in range(gone))

    def draw(self, rng: np.random.Generator) -> Genome:
        """Draw width, depth, and heads and ratio of each block, all independently and uniformly."""
        width, depth = _pick(rng, self.widths), _pick(rng, self.depths)
        genes = [(_pick(rng, self.heads), _pick(rng, self.ratios)) for _ in range(self.blocks)]
        return self._made(width, depth, genes)

    def mutate(
        self, genome: Genome, rng: np.random.Generator, whole: float = 0.4, block: float = 0.2
    ) -> Genome:
        """Draw some genes anew, among the other choices.

        Args:
            genome: A genome of the space.
            rng: Source of random numbers.
            whole: Probability of a new width, and of a new depth.
            block: Probability of new heads of a block, and of a new ratio.
        """
        width = _other(rng, self.widths, genome.width, whole)
        depth = _other(rng, self.depths, genome.depth, whole)
        genes = []
        for heads, ratio in zip(genome.heads, genome.ratios, strict=True):
            fresh = _pick(rng, self.heads), _pick(rng, self.ratios)  # of a block that was absent
            kept = _other(rng, self.heads, heads, block), _other(rng, self.ratios, ratio, block)
            genes.append(kept if heads else fresh)
        return self._made(width, depth, genes)

    def crossover(self, a: Genome, b: Genome, rng: np.random.Generator) -> Genome:
        """Take each gene of either parent; a block that one of them lacks is that of the other."""
        width, depth = _pick(rng, (a.width, b.width)), _pick(rng, (a.depth, b.depth))
        genes = []
        for i in range(self.blocks):
            heads, ratio = (_pick(rng, (a, b)) for _ in range(2))
            if not (a.heads[i] and b.heads[i]):
                heads = ratio = a if a.heads[i] else b
            genes.append((heads.heads[i], ratio.ratios[i]))
        return self._made(width, depth, genes)

    def check(self, genome: Genome) -> None:
        """Refuse a genome that is not of the space.

        Raises:
            ConfigError: saying which gene is not.
        """
        where = f"genome {str(genome)!r}"
        if not len(genome.heads) == len(genome.ratios) == self.blocks:
            raise ConfigError(f"{where}: it has {len(genome.heads)} blocks; give {self.blocks}.")
        _check_choice(where, "width", genome.width, self.widths)
        _check_choice(where, "number of blocks that are there", genome.depth, self.depths)
        gone = self.absent(genome.depth)
        for i, (heads, ratio) in enumerate(zip(genome.heads, genome.ratios, strict=True)):
            if (heads == 0) != (i in gone):
                listed = ", ".join(map(str, sorted(gone))) or "none"
                raise ConfigError(
                    f"{where}: block {i} is {'there' if heads else 'absent'}; at a depth of {genome.depth}, "
                    f"the absent blocks are {listed}, counted from 0."
                )
            if heads:
                _check_choice(where, f"heads of block {i}", heads, self.heads)
                _check_choice(where, f"ratio of block {i}", ratio, self.ratios)

    def holds(self, genome: Genome) -> bool:
        """Tell whether a genome is of the space."""
        try:
            self.check(genome)
        except ConfigError:
            return False
        return True

    def _uniform(self, width: int, heads: int, ratio: float, depth: int) -> Genome:
        return self._made(width, depth, [(heads, ratio)] * self.blocks)

    def _made(self, width: int, depth: int, genes: Sequence[tuple[int, float]]) -> Genome:
        gone = self.absent(depth)
        kept = [(0, 0.0) if i in gone else gene for i, gene in enumerate(genes)]
        return Genome(width, tuple(heads for heads, _ in kept), tuple(ratio for _, ratio in kept))


def _optional(blocks: int) -> range:
    """The blocks that may be absent."""
    return range(1, max(1, blocks - -(-blocks // 3)))


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _other(rng: np.random.Generator, choices: Sequence[T], value: T, probability: float) -> T:
    """With some probability another choice than a value, if there is one; always the same number of draws."""
    change, others = rng.random() < probability, [choice for choice in choices if choice != value]
    place = rng.random()
    return others[int(place * len(others))] if change and others else value


def _check_choice(where: str, what: str, found: float, choices: Sequence[float]) -> None:
    if found not in choices:
        raise ConfigError(f"{where}: its {what} is {found:g}; give {', '.join(f'{c:g}' for c in choices)}.")
