"""The search itself: generations are proposed, measured, scored and logged, whatever a genome stands for."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.errors import ConfigError
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.breeding import Breeding, Proposal
from mtvit_train.search.evolution.candidate import Arm, Candidate, fittest
from mtvit_train.search.evolution.fitness import Fitness, Metrics
from mtvit_train.search.evolution.front import best_first, goals_of
from mtvit_train.search.evolution.limits import Limits
from mtvit_train.search.evolution.log import Log

#: Images that candidates are compared on, or others that the search did not see.
Images = Literal["compared", "unseen"]
#: Yields metrics by ``task/metric``, in the order of the genomes.
Scores = Callable[[Sequence[Genome], Images], Iterator[Mapping[str, float]]]


@runtime_checkable
class Watcher(Protocol):
    """What is told how the search goes on."""

    def notes(self, lines: Sequence[str]) -> None:
        """Take in what has to be said once."""

    def scored(self, candidate: Candidate) -> None:
        """Take in a candidate that was scored, now or before the search was stopped."""

    def generation(self, arm: Arm, number: int, bred: Sequence[Candidate], best: Candidate) -> None:
        """Take in a whole generation, and the best so far."""


@dataclass(frozen=True)
class Subject:
    """What is searched.

    Attributes:
        space: Its genomes.
        parameters: Counts the weights of a candidate.
        ms: Tells the time of a candidate's pass; None where no time is told.
        scores: Scores candidates.
        unseen: Images that are left for the end.
    """

    space: Space
    parameters: Callable[[Genome], int]
    ms: Callable[[Genome], float | None]
    scores: Scores
    unseen: int


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        candidates: All that were scored, in order.
        fitness: How good they are is told by it.
        largest: The largest candidate, which counts for no arm.
        unseen: Ratios on images that the search did not see, by ``winner``, ``random`` and ``largest``.
    """

    candidates: tuple[Candidate, ...]
    fitness: Fitness
    largest: Candidate
    unseen: Mapping[str, Mapping[str, float]]

    def of(self, arm: Arm) -> list[Candidate]:
        """Return the candidates of an arm."""
        return [one for one in self.candidates if one.arm == arm]

    @property
    def winner(self) -> Candidate:
        """The fittest that evolution has found."""
        return fittest(self.of("evolution"))


class Search:
    """One search; on a log with records it comes to the same decisions, and goes on behind the last."""

    def __init__(self, subject: Subject, table: SearchTable, log: Log, watcher: Watcher) -> None:
        """Prepare the search.

        Args:
            subject: What is searched.
            table: Settings.
            log: Takes the records.
            watcher: Is told how it goes on.
        """
        self.subject, self.table, self.log, self.watcher = subject, table, log, watcher
        self.limits = Limits(table, subject.parameters, subject.ms)
        self._metrics: dict[Genome, Metrics] = {}

    def run(self) -> Found:
        """Search to the end.

        Raises:
            ConfigError: no candidate is within the limits, or nothing tells how good candidates are.
            CheckpointError: the log is that of another search.
        """
        self.limits.check(self.subject.space)
        metrics = self._largest()
        fitness = Fitness.of(self.table, metrics)
        self.watcher.notes(fitness.notes)
        largest = self._candidate(
            "evolution", 0, Proposal(self.subject.space.largest, "drawn"), metrics, fitness
        )
        arms: tuple[Arm, ...] = ("evolution", "random") if self.table.random else ("evolution",)
        scored = [one for arm in arms for one in self._arm(arm, fitness)]
        found = Found(tuple(scored), fitness, largest, {})
        return Found(found.candidates, fitness, largest, self._unseen(found))

    def _largest(self) -> Metrics:
        """Score the largest candidate, whatever its size: what others are compared with."""
        genome = self.subject.space.largest
        known = self.log.recall("largest", genome=str(genome))
        if known is None:
            metrics = _told(next(self.subject.scores([genome], "compared")))
            known = {"genome": str(genome), "metrics": metrics}
            self.log.add("largest", known)
        self._metrics[genome] = known["metrics"]
        return self._metrics[genome]

    def _arm(self, arm: Arm, fitness: Fitness) -> list[Candidate]:
        """Score all generations of an arm."""
        breeding = Breeding(self.subject.space, self.table, self.limits.side)
        scored: dict[Genome, Candidate] = {}
        for number in range(self.table.generations):
            parents = self._parents(scored) if arm == "evolution" else []
            proposals = breeding.generation(arm, number, parents, scored)
            if not proposals and not scored:
                raise ConfigError(
                    f"search: none of {self.table.tries * self.table.population} tries gave a candidate "
                    "within the limits; widen search.max_parameters, search.min_parameters or search.max_ms."
                )
            bred = list(self._scored(arm, number, proposals, fitness))
            scored |= {one.genome: candidate for one, candidate in zip(proposals, bred, strict=True)}
            self.watcher.generation(arm, number, bred, fittest(list(scored.values())))
        return list(scored.values())

    def _parents(self, scored: Mapping[Genome, Candidate]) -> list[Genome]:
        """Return who breeds, the best first, of all that were scored."""
        genomes, candidates = list(scored), list(scored.values())
        if self.table.objective == "front":
            order, most = best_first(goals_of([one.goals for one in candidates])), self.table.population
        else:
            order = sorted(
                range(len(candidates)), key=lambda i: (-candidates[i].fitness, candidates[i].parameters)
            )
            most = self.table.parents
        return [genomes[index] for index in order[:most]]

    def _scored(
        self, arm: Arm, number: int, proposals: Sequence[Proposal], fitness: Fitness
    ) -> Iterator[Candidate]:
        """Yield the candidates of a generation: first those in the log, then those that are scored now."""
        known = 0
        for proposal in proposals:
            about = {"arm": arm, "generation": number, "genome": str(proposal.genome)}
            record = self.log.recall("candidate", **about)
            if record is None:
                break
            known += 1
            self._metrics[proposal.genome] = record["metrics"]
            candidate = self._candidate(arm, number, proposal, record["metrics"], fitness)
            self.watcher.scored(candidate)
            yield candidate
        fresh = [one.genome for one in proposals[known:] if one.genome not in self._metrics]
        scores = self.subject.scores(fresh, "compared") if fresh else iter(())
        for proposal in proposals[known:]:
            if proposal.genome not in self._metrics:
                self._metrics[proposal.genome] = _told(next(scores))
            candidate = self._candidate(arm, number, proposal, self._metrics[proposal.genome], fitness)
            self.log.add("candidate", candidate.to_json())
            self.watcher.scored(candidate)
            yield candidate

    def _candidate(
        self, arm: Arm, number: int, proposal: Proposal, metrics: Metrics, fitness: Fitness
    ) -> Candidate:
        ratios = fitness.ratios(metrics)
        return Candidate(
            arm=arm,
            generation=number,
            origin=proposal.origin,
            genome=str(proposal.genome),
            parameters=self.subject.parameters(proposal.genome),
            ms=self.subject.ms(proposal.genome),
            ratios=ratios,
            fitness=math.fsum(ratios.values()),
            metrics=metrics,
        )

    def _unseen(self, found: Found) -> dict[str, dict[str, float]]:
        """Score the best, and the largest, on images that the search did not see."""
        if not self.subject.unseen:
            return {}
        best = {"winner": found.winner.genome, "largest": found.largest.genome}
        if drawn := found.of("random"):
            best["random"] = fittest(drawn).genome
        genomes = {str(genome): genome for genome in self._metrics}
        ratios = {}
        for name, text in best.items():
            record = self.log.recall("unseen", best=name, genome=text)
            if record is None:
                metrics = _told(next(self.subject.scores([genomes[text]], "unseen")))
                record = {"best": name, "genome": text, "metrics": metrics}
                self.log.add("unseen", record)
            ratios[name] = found.fitness.ratios(record["metrics"])
        return ratios


def _told(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics as the log holds them, None for those that are not finite."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
