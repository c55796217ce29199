"""What the tasks found of one object, and how well that agrees."""

from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Finding:
    """What one task found of an object.

    Attributes:
        task: Its name.
        score: Its confidence in [0, 1].
        box: Its box, corners x0 y0 x1 y1 in original pixels.
        mask: Whether the object's mask is its.
        keypoints: Whether the object's keypoints are its.
        query: Query of an instance group that it was read from; None where the task has its own.
    """

    task: str
    score: float
    box: Box
    mask: bool
    keypoints: bool
    query: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return task, score and bbox x y w h."""
        x0, y0, x1, y1 = self.box
        return {"task": self.task, "score": self.score, "bbox": [x0, y0, x1 - x0, y1 - y0]}


@dataclass(frozen=True)
class Link:
    """Results of several tasks that are one object.

    Attributes:
        score: Least agreement of any two of them, in [0, 1]; see ``mtvit_core.structures.linking``.
        findings: One per task; the object shows the box of the first.
    """

    score: float
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the score as ``link``, and what each task found as ``parts``."""
        return {"link": self.score, "parts": [finding.to_json() for finding in self.findings]}
