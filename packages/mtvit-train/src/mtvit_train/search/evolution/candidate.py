"""One scored candidate, and its line in the log."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

#: ``evolution``: what the search proposes. ``random``: what is drawn beside it.
Arm = Literal["evolution", "random"]
#: Where a genome comes from.
Origin = Literal["drawn", "mutant", "crossover"]


@dataclass(frozen=True)
class Candidate:
    """A genome with all that counts about it.

    Attributes:
        arm: What proposed it.
        generation: In which generation, from 0.
        origin: Where its genome comes from.
        genome: As text.
        parameters: Weights of the model with its heads.
        ms: Milliseconds of a pass of one image; None where no time is told.
        ratios: Main metric over single-task value, by task.
        fitness: Their sum.
        metrics: All numbers by ``task/metric``, None where nothing was labelled.
    """

    arm: Arm
    generation: int
    origin: Origin
    genome: str
    parameters: int
    ms: float | None
    ratios: Mapping[str, float]
    fitness: float
    metrics: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``from_json`` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Candidate":
        """Build a candidate from its line in the log."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})

    @property
    def goals(self) -> tuple[float, ...]:
        """What the front compares, less is better: minus fitness, parameters, and time if it is told."""
        return (-self.fitness, float(self.parameters), *([] if self.ms is None else [self.ms]))


def fittest(candidates: "list[Candidate]") -> Candidate:
    """Return the best; of equal ones the one with the fewest parameters, then the earliest."""
    return min(candidates, key=lambda one: (-one.fitness, one.parameters))
