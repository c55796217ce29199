"""Generations of genomes: drawn, mutated, crossed (AutoFormer, Chen et al. 2021, section 3.3)."""

from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from mtvit_train.config.search import SearchTable
from mtvit_train.search.candidate import Arm, Origin

G = TypeVar("G", bound=Hashable)
#: Tells whether a genome is within the limits (0), above (1) or below (-1).
Side = Callable[[G], int]


class Space(Protocol[G]):
    """What evolution asks of a space of genomes."""

    @property
    def largest(self) -> G:
        """The genome of the largest candidate."""

    @property
    def smallest(self) -> G:
        """That of the smallest."""

    def draw(self, rng: np.random.Generator) -> G:
        """Return any genome."""

    def mutate(self, genome: G, rng: np.random.Generator, block: float, whole: float) -> G:
        """Return a genome with some genes drawn anew."""

    def crossover(self, one: G, other: G, rng: np.random.Generator) -> G:
        """Return a genome that has each gene of one of two."""


@dataclass(frozen=True)
class Proposal(Generic[G]):
    """A genome to score.

    Attributes:
        genome: The genome.
        origin: Where it comes from.
    """

    genome: G
    origin: Origin


@dataclass(frozen=True)
class Breeding(Generic[G]):
    """Proposes generations; equal parents, seed and verdicts give equal genomes.

    Attributes:
        space: The genomes that there are.
        table: How many come from where.
        side: Tells whether a genome is within the limits.
    """

    space: Space[G]
    table: SearchTable
    side: Side[G]

    def generation(
        self, arm: Arm, number: int, parents: Sequence[G], seen: Container[G]
    ) -> list[Proposal[G]]:
        """Return the genomes of a generation, all new and within the limits; fewer where tries run out.

        Args:
            arm: What proposes; each has a stream of its own.
            number: Of the generation.
            parents: Who breeds, the best first; none: all genomes are drawn.
            seen: Genomes that are not to come again.
        """
        rng = np.random.default_rng([self.table.seed, ("evolution", "random").index(arm), number])
        found: dict[G, Origin] = {}

        def fill(origin: Origin, until: int, make: Callable[[], G | None]) -> None:
            for _ in range(self.table.tries * max(0, until - len(found))):
                if len(found) >= until:
                    return
                genome = make()
                new = genome is not None and genome not in seen and genome not in found
                if new and genome is not None and self.side(genome) == 0:
                    found[genome] = origin

        if parents:
            fill("mutant", self.table.mutants, lambda: self._mutant(parents, rng))
            fill("crossover", len(found) + self.table.crossovers, lambda: self._crossover(parents, rng))
        fill("drawn", self.table.population, lambda: self._drawn(rng))
        return [Proposal(genome, origin) for genome, origin in found.items()]

    def _mutant(self, parents: Sequence[G], rng: np.random.Generator) -> G:
        return self.space.mutate(
            self._parent(parents, rng), rng, self.table.mutate_block, self.table.mutate_whole
        )

    def _crossover(self, parents: Sequence[G], rng: np.random.Generator) -> G:
        return self.space.crossover(self._parent(parents, rng), self._parent(parents, rng), rng)

    def _parent(self, parents: Sequence[G], rng: np.random.Generator) -> G:
        """Any of them; with ``front``, the better of two, as in NSGA-II."""
        rounds = 2 if self.table.objective == "front" else 1
        return parents[min(int(rng.integers(len(parents))) for _ in range(rounds))]

    def _drawn(self, rng: np.random.Generator) -> G | None:
        """Draw a genome, and cross it with an end of the space until it is within the limits.

        Uniform draws are all of middling size, so that under a tight limit none would do.
        """
        genome = self.space.draw(rng)
        for _ in range(self.table.tries):
            side = self.side(genome)
            if side == 0:
                return genome
            end = self.space.smallest if side > 0 else self.space.largest
            genome = self.space.crossover(genome, end, rng)
        return None
