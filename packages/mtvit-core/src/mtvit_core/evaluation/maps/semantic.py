"""Mean IoU and pixel accuracy of semantic maps, see ``confusion``."""

import torch
from jaxtyping import Int64
from numpy import ndarray

from mtvit_core.evaluation.details import Details
from mtvit_core.evaluation.maps.confusion import Confusion, count_pairs
from mtvit_core.evaluation.maps.map_evaluator import MapEvaluator
from mtvit_core.structures.annotations import TrueSegments
from mtvit_core.structures.pixel_maps import CategoryMap


class SemanticEvaluator(MapEvaluator):
    """mIoU over the classes that occur in the truth, and the share of pixels that are right.

    Pixels that belong to no segment, or nobody knows to which, are left out. Crowds count as their class.
    """

    def count(self, found: CategoryMap | None, truth: TrueSegments) -> Int64[ndarray, "pairs 3"]:
        """Count the pixels of every pair of true and found label that occurs in one image."""
        labelled = truth.ids > 0
        true = truth.labels[truth.ids[labelled] - 1]
        none = len(self.categories)
        said = torch.full_like(true, none)
        if found is not None:
            own = self.labels_of(found)[labelled]
            said = torch.where(own < 0, none, own)
        return count_pairs(true, said, none)

    def confusion(self) -> Confusion:
        """Return pixels by true and found label."""
        return Confusion.of([category.name for category in self.categories], self.counts)

    def compute(self) -> dict[str, float]:
        """Return mIoU and pixel_accuracy."""
        return self.confusion().scores()

    def details(self, min_score: float) -> Details:
        """Return the scores of every class that occurs, and the confusion matrix."""
        return self.confusion().details()
