"""Generations of genomes: drawn, mutated, crossed (AutoFormer, Chen et al. 2021, section 3.3)."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import numpy as np

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.candidate import Arm, Origin

#: Tells whether a genome is within the limits (0), above (1) or below (-1).
Side = Callable[[Genome], int]


@dataclass(frozen=True)
class Proposal:
    """A genome to score.

    Attributes:
        genome: The genome.
        origin: Where it comes from.
    """

    genome: Genome
    origin: Origin


@dataclass(frozen=True)
class Breeding:
    """Proposes generations; equal parents, seed and verdicts give equal genomes.

    Attributes:
        space: The genomes that there are.
        table: How many come from where.
        side: Tells whether a genome is within the limits.
    """

    space: Space
    table: SearchTable
    side: Side

    def generation(
        self, arm: Arm, number: int, parents: Sequence[Genome], seen: Container[Genome]
    ) -> list[Proposal]:
        """Return the genomes of a generation, all new and within the limits; fewer where tries run out.

        Args:
            arm: What proposes; each has a stream of its own.
            number: Of the generation.
            parents: Who breeds, the best first; none: all genomes are drawn.
            seen: Genomes that are not to come again.
        """
        rng = np.random.default_rng([self.table.seed, ("evolution", "random").index(arm), number])
        found: dict[Genome, Origin] = {}

        def fill(origin: Origin, until: int, make: Callable[[], Genome | None]) -> None:
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

    def _mutant(self, parents: Sequence[Genome], rng: np.random.Generator) -> Genome:
        parent, table = self._parent(parents, rng), self.table
        return self.space.mutate(parent, rng, whole=table.mutate_whole, block=table.mutate_block)

    def _crossover(self, parents: Sequence[Genome], rng: np.random.Generator) -> Genome:
        return self.space.crossover(self._parent(parents, rng), self._parent(parents, rng), rng)

    def _parent(self, parents: Sequence[Genome], rng: np.random.Generator) -> Genome:
        """Any of them; with ``front``, the better of two, as in NSGA-II."""
        rounds = 2 if self.table.objective == "front" else 1
        return parents[min(int(rng.integers(len(parents))) for _ in range(rounds))]

    def _drawn(self, rng: np.random.Generator) -> Genome | None:
        """Draw a genome; one outside the limits is crossed with the other side of them until one is within.

        Uniform draws are all of middling size, so that under a tight limit none would do.
        """
        genome, low, high = self.space.draw(rng), self.space.smallest, self.space.largest
        for _ in range(self.table.tries):
            side = self.side(genome)
            if side == 0:
                return genome
            low, high = (low, genome) if side > 0 else (genome, high)
            genome = self.space.crossover(low, high, rng)
        return None
