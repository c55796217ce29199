"""What scores a task: results against annotations, and one number per metric."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from mtvit_core.evaluation.coco_engines import Engine
from mtvit_core.evaluation.details import Details
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta


class Evaluator(ABC):
    """Collects results against annotations and scores them."""

    @property
    def reads(self) -> frozenset[str]:
        """Kinds of truth that it is to be given beside those that its task needs, such as ``segments``."""
        return frozenset()

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

    def use_limit(self, most: int) -> None:  # noqa: B027 (most evaluators of plugins need none)
        """Count so many results of an image and a category; one that holds a ``CocoEvaluator`` tells it.

        An evaluator of other metrics has nothing to do.
        """

    def details(self, min_score: float) -> Details:
        """Return what a report shows beside the metrics; nothing unless an evaluator says otherwise.

        Args:
            min_score: Results below it are not to count where there is no curve over all scores.
        """
        return Details()


class JointEvaluator(Evaluator):
    """Several evaluators of one task as one; no two have a metric of the same name."""

    def __init__(self, parts: Sequence[Evaluator]) -> None:
        """Keep the evaluators.

        Args:
            parts: At least one; mistakes are told by the first that counts some.
        """
        self._parts = tuple(parts)

    @property
    def reads(self) -> frozenset[str]:
        """What any of them reads."""
        return frozenset().union(*(part.reads for part in self._parts))

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images to each; see ``Evaluator.update``."""
        for part in self._parts:
            part.update(results, annotations, meta)

    def state(self) -> dict[str, Any]:
        """Return what each has collected."""
        return {"parts": [part.state() for part in self._parts]}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what each has collected; see ``Evaluator.merge``."""
        for place, part in enumerate(self._parts):
            part.merge([state["parts"][place] for state in states])

    def compute(self) -> dict[str, float]:
        """Return the metrics of all."""
        return {name: value for part in self._parts for name, value in part.compute().items()}

    def use_engine(self, engine: Engine) -> None:
        """Tell each."""
        for part in self._parts:
            part.use_engine(engine)

    def use_limit(self, most: int) -> None:
        """Tell each."""
        for part in self._parts:
            part.use_limit(most)

    def details(self, min_score: float) -> Details:
        """Return the tables, charts and matrices of all, and the mistakes that the first of them tells."""
        told = [part.details(min_score) for part in self._parts]
        return Details(
            tables=tuple(table for one in told for table in one.tables),
            charts=tuple(chart for one in told for chart in one.charts),
            matrices=tuple(matrix for one in told for matrix in one.matrices),
            mistakes=next((one.mistakes for one in told if one.mistakes), ()),
        )
