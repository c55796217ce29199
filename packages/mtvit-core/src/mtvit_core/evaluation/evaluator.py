"""What scores a task: results against annotations, and one number per metric."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from mtvit_core.evaluation.coco_engines import Engine
from mtvit_core.evaluation.details import Details
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_result import ImageResult


class Evaluator(ABC):
    """Collects results against annotations and scores them."""

    @abstractmethod
    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images.

        Args:
            results: What the model found, in original pixels.
            annotations: The truth of the same images, in original pixels (not those of the canvas).
            meta: Image ids and original sizes.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what has been collected, as plain picklable data."""

    @abstractmethod
    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what has been collected by the union of several states; an image seen twice counts once."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the metrics, by names such as ``AP`` and ``AP50``; NaN where nothing was labelled."""

    def use_engine(self, engine: Engine) -> None:  # noqa: B027 (most evaluators of plugins need none)
        """Compute COCO's average precision by this engine; one that holds a ``CocoEvaluator`` tells it.

        An evaluator of other metrics has nothing to do.
        """

    def details(self, min_score: float) -> Details:
        """Return what a report shows beside the metrics; nothing unless an evaluator says otherwise.

        Args:
            min_score: Results below it are not to count where there is no curve over all scores.
        """
        return Details()
