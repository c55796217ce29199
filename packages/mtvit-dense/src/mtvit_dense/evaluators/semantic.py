"""Mean IoU and pixel accuracy, from one confusion matrix of all images: the MTAN and the NYUD-v2 protocol."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.evaluation.details import Details
from mtvit_core.evaluation.maps.confusion import Confusion, count_pairs
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.pixel_maps import CategoryMap, PixelMap
from mtvit_dense.evaluators.dense_evaluator import DenseEvaluator


class SemanticMapEvaluator(DenseEvaluator):
    """mIoU over the classes that occur in the labels, and the share of labelled pixels that are right."""

    def __init__(self, name: str, classes: Categories) -> None:
        """Start without images.

        Args:
            name: Of the map and of the label.
            classes: Classes by their numbers.
        """
        super().__init__(name)
        self.classes = classes

    def count(self, found: PixelMap, truth: Float[Tensor, "*planes H W"]) -> Any:
        """Count the pixels of every pair of true and found class.

        Raises:
            DataError: a label is the number of no class.
        """
        assert isinstance(found, CategoryMap)
        known = truth.isfinite()
        true = truth[known].long()
        if len(true) and not 0 <= int(true.min()) <= int(true.max()) < len(self.classes):
            raise DataError(
                f"evaluation of {self.name}: labels run from {int(true.min())} to {int(true.max())}, but the "
                f"model knows {len(self.classes)} classes, numbered from 0; evaluate it on its own classes."
            )
        return count_pairs(true, found.category_ids[known], len(self.classes))

    def confusion(self) -> Confusion:
        """Return pixels by true and found class."""
        return Confusion.of([one.name for one in self.classes], self.counts)

    def compute(self) -> dict[str, float]:
        """Return mIoU and pixel_accuracy."""
        return self.confusion().scores()

    def details(self, min_score: float) -> Details:
        """Return the scores of every class that occurs, and the confusion matrix."""
        return self.confusion().details()
