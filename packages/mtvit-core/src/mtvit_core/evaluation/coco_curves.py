"""Precision and recall over thresholds, categories and areas, as COCO defines them (Lin et al. 2014)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from mtvit_core.structures.categories import Category


@dataclass(frozen=True)
class ClassScore:
    """The scores of one category; NaN where it has no annotated instance.

    Attributes:
        category: The category.
        instances: Annotated instances that count: no crowds, and for keypoints no one without a labelled
            keypoint.
        ap: Mean precision over IoU (or OKS) 0.50 to 0.95.
        ap50: Mean precision at 0.50.
        ar: Mean recall over 0.50 to 0.95.
    """

    category: Category
    instances: int
    ap: float
    ap50: float
    ar: float


@dataclass(frozen=True)
class Curves:
    """What COCOeval accumulates for the most results per image; -1 marks what has no ground truth.

    Attributes:
        precision: Thresholds x recalls x categories x areas.
        recall: Thresholds x categories x areas.
        thresholds: IoU or OKS of the first axis.
        areas: Names of the last axis.
        categories: Categories of their axis, by rising id.
    """

    precision: ndarray
    recall: ndarray
    thresholds: ndarray
    areas: tuple[str, ...]
    categories: tuple[Category, ...]

    @classmethod
    def join(cls, parts: Sequence["Curves"]) -> "Curves":
        """Put curves of different categories together; ``parts`` is not empty."""
        return cls(
            precision=np.concatenate([part.precision for part in parts], axis=2),
            recall=np.concatenate([part.recall for part in parts], axis=1),
            thresholds=parts[0].thresholds,
            areas=parts[0].areas,
            categories=tuple(category for part in parts for category in part.categories),
        )

    def average_precision(self, threshold: float | None = None, area: str = "all") -> float:
        """Mean precision over thresholds (or at one), recalls and categories; NaN without ground truth."""
        rows = slice(None) if threshold is None else np.isclose(self.thresholds, threshold)
        return _mean(self.precision[rows][..., self.areas.index(area)])

    def average_recall(self) -> float:
        """Mean over thresholds and categories of the highest recall, for objects of all areas."""
        return _mean(self.recall[..., self.areas.index("all")])

    def only(self, category: int) -> "Curves":
        """Return the curves of one category, by its place in ``categories``."""
        one = slice(category, category + 1)
        return Curves(
            self.precision[:, :, one], self.recall[:, one], self.thresholds, self.areas, self.categories[one]
        )


def _mean(values: ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")
