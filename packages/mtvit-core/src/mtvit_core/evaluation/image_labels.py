"""Mean average precision of image labels: images are ranked by score for each category.

AP = mean over images that show the category of (hits up to the image) / (rank of the image)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.framing import ImageMeta


class ImageLabelsEvaluator(Evaluator):
    """Keeps a score and the truth per image and category, without what is not labelled or annotated."""

    def __init__(self, task: str, classes: int) -> None:
        """Start without images.

        Args:
            task: Name of the task, under which results hold its labels.
            classes: Number of categories C.
        """
        self.task, self.classes = task, classes
        self.images: dict[int, tuple[list[float], list[bool], list[bool]]] = {}

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images; a category that is missing from the results has score 0."""
        for found, truth, image in zip(results, annotations, meta, strict=True):
            if "boxes" not in truth.has:
                continue
            own = found.labels[self.task]
            scores = torch.zeros(self.classes).index_put((own.labels,), own.scores)
            shown = torch.zeros(self.classes, dtype=torch.bool)
            shown[truth.labels] = True
            known = annotated_classes([truth], self.classes)[0]
            self.images[image.image_id] = scores.tolist(), shown.tolist(), known.tolist()

    def state(self) -> dict[str, Any]:
        """Return the images by id."""
        return {"images": self.images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace the images by those of all states."""
        self.images = {id_: image for state in states for id_, image in state["images"].items()}

    def compute(self) -> dict[str, float]:
        """Return the mean over the categories that some image shows; NaN where there is none."""
        kept = torch.tensor(list(self.images.values())).reshape(-1, 3, self.classes)
        scores, shown, known = kept[:, 0], kept[:, 1] > 0, kept[:, 2] > 0
        found = [c for c in range(self.classes) if shown[:, c].any()]
        each = [average_precision(scores[known[:, c], c], shown[known[:, c], c]) for c in found]
        return {"AP": sum(each) / len(each) if each else math.nan}


def average_precision(scores: Float[Tensor, " I"], shown: Bool[Tensor, " I"]) -> float:
    """Rank the images by score and average the precision at each one that shows the category."""
    hits = shown[scores.argsort(descending=True, stable=True)]
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
