"""Categories of a whole image."""

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.structures.categories import Categories


@dataclass(frozen=True)
class ImageLabels:
    """Categories of a whole image, best first.

    Attributes:
        labels: Class of each entry, as an index into ``categories``; each class at most once.
        scores: Confidence of each in [0, 1], falling.
        categories: Classes that ``labels`` index.
    """

    labels: Int64[Tensor, " C"]
    scores: Float[Tensor, " C"]
    categories: Categories

    @classmethod
    def of(cls, scores: Float[Tensor, " C"], categories: Categories) -> "ImageLabels":
        """Return all classes by falling score.

        Args:
            scores: One of each class.
            categories: The classes.
        """
        ranked, labels = scores.float().cpu().sort(descending=True, stable=True)
        return cls(labels, ranked, categories)

    @property
    def names(self) -> tuple[str, ...]:
        """Category name of each entry."""
        return tuple(self.categories[label].name for label in self.labels.tolist())

    def __len__(self) -> int:
        """Return the number of entries."""
        return int(self.labels.shape[0])

    def heading(self, min_score: float, most: int = 3) -> str:
        """Return the best entries as a text for a picture: one at least, others from a score on."""
        shown = max(1, min(most, int((self.scores >= min_score).sum())))
        pairs = zip(self.names[:shown], self.scores.tolist()[:shown], strict=True)
        return ", ".join(f"{name} {score:.2f}" for name, score in pairs)

    def above(self, score: float) -> "ImageLabels":
        """Select entries whose score is at least ``score``."""
        kept = self.scores >= score
        return replace(self, labels=self.labels[kept], scores=self.scores[kept])

    def to_json(self) -> list[dict[str, Any]]:
        """Return name, id and score of each entry."""
        return [
            {"category": name, "category_id": self.categories[label].id, "score": score}
            for name, label, score in zip(self.names, self.labels.tolist(), self.scores.tolist(), strict=True)
        ]
