"""Searches without a network: the score of a genome is how near it is to one that is known."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.candidate import Arm, Candidate
from mtvit_train.search.evolution.log import Log
from mtvit_train.search.evolution.search import Found, Images, Search, Subject

SPACE = Space(widths=(8, 16, 24, 32), heads=(1, 2, 3, 4), ratios=(2.0, 3.0, 4.0), depths=(10,), blocks=10)
#: The best genome of all.
BEST = Genome(16, (4, 1, 2, 3, 1, 4, 2, 3, 1, 2), (2.0, 4.0, 3.0, 2.0, 4.0, 3.0, 2.0, 4.0, 3.0, 2.0))


def size(genome: Genome) -> int:
    """Weights of a candidate, as if each block had heads x ratio x width."""
    return genome.width * round(sum(h * r for h, r in zip(genome.heads, genome.ratios, strict=True)))


def nearness(genome: Genome) -> float:
    """1 for the best genome; less by every gene that differs, and by how much."""
    far = abs(genome.width - BEST.width) / 8
    far += sum(abs(a - b) for a, b in zip(genome.heads, BEST.heads, strict=True))
    far += sum(abs(a - b) for a, b in zip(genome.ratios, BEST.ratios, strict=True))
    return 1 / (1 + far)


#: A space that is small enough to look at every genome.
SMALL = Space(widths=(8,), heads=(1, 2, 3), ratios=(2.0, 3.0), depths=(4,), blocks=4)


def worth(genome: Genome) -> float:
    """More for larger blocks, by very different amounts; what costs little may be worth much."""
    parts = zip(genome.heads, genome.ratios, (1.0, 8.0, 2.0, 4.0), strict=True)
    return sum((h + 0.6 * r) * w for h, r, w in parts) / 100


class Scored:
    """Scores genomes, and counts how often; after ``lives`` of them it is killed."""

    def __init__(self, lives: int = 10**9, score: Callable[[Genome], float] = nearness) -> None:
        self.lives, self.genomes, self.score = lives, list[Genome](), score

    def __call__(self, genomes: Sequence[Genome], images: Images) -> Iterator[dict[str, float]]:
        for genome in genomes:
            if not self.lives:
                raise KeyboardInterrupt
            self.lives -= 1
            self.genomes.append(genome)
            near = self.score(genome) * (0.9 if images == "unseen" else 1.0)
            yield {"toy/AP": near, "toy/AP50": float("nan"), "other/mIoU": near**2, "link/AP": 1.0}


class Silent:
    """Watches a search and keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seen: list[Candidate] = []
        self.bests: list[float] = []

    def notes(self, lines: Sequence[str]) -> None:
        self.lines += lines

    def scored(self, candidate: Candidate) -> None:
        self.seen.append(candidate)

    def generation(self, arm: Arm, number: int, bred: Sequence[Candidate], best: Candidate) -> None:
        self.bests.append(best.fitness)


def toy(scores: Scored, unseen: int = 0, space: Space = SPACE) -> Subject:
    """What is searched."""
    return Subject(space, size, lambda genome: size(genome) / 100, scores, unseen)


def searched(
    log: Path, scores: Scored | None = None, unseen: int = 0, space: Space = SPACE, **settings: object
) -> Found:
    """Search for the best genome."""
    table = SearchTable.model_validate({"population": 20, "mutants": 10, "crossovers": 10, **settings})
    return Search(toy(scores or Scored(), unseen, space), table, Log(log), Silent()).run()
