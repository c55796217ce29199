"""What evaluators of dense maps share: what is kept of each image, by its id."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.evaluation.details import Chart, Line
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import DenseMap, PixelMap


class DenseEvaluator(Evaluator):
    """Scores one map against the dense label of its name; images without the label are left out."""

    def __init__(self, name: str) -> None:
        """Start without images.

        Args:
            name: Of the map, and of the label.
        """
        self.name = name
        self._images: dict[int, dict[str, Any]] = {}

    @abstractmethod
    def count(self, found: PixelMap, truth: Float[Tensor, "*planes H W"]) -> Any:
        """Return what is kept of one image, as plain picklable data.

        Args:
            found: The map.
            truth: The label, NaN where unknown.
        """

    @property
    def counts(self) -> list[Any]:
        """What was kept of every image, by rising image id."""
        return [image["counts"] for _, image in sorted(self._images.items())]

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images; see ``Evaluator.update``.

        Raises:
            DataError: two different images share an id.
        """
        for found, truth, at in zip(results, annotations, meta, strict=True):
            if self.name in truth.has:
                counts = self.count(found.maps[self.name], truth.maps[self.name])
                self._add(at.image_id, {"file_name": at.file_name, "counts": counts})

    def state(self) -> dict[str, Any]:
        """Return what was kept of every image."""
        return {"images": self._images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what has been collected; see ``Evaluator.merge``.

        Raises:
            DataError: two different images share an id.
        """
        self._images = {}
        for state in states:
            for image_id, image in state["images"].items():
                self._add(image_id, image)

    def _add(self, image_id: int, new: dict[str, Any]) -> None:
        old = self._images.setdefault(image_id, new)
        if old["file_name"] != new["file_name"]:
            raise DataError(
                f"evaluation of {self.name}: image id {image_id} is used for both {old['file_name']!r} and "
                f"{new['file_name']!r}; ids must be unique."
            )


def labelled_pixels(
    found: PixelMap, truth: Float[Tensor, "*planes H W"], known: Bool[Tensor, "H W"]
) -> tuple[Float[Tensor, "C pixels"], Float[Tensor, "C pixels"]]:
    """Return what was found and what is true at the known pixels, in double precision."""
    assert isinstance(found, DenseMap)
    return found.values[:, known].double(), truth.reshape(-1, *known.shape)[:, known].double()


def spread(title: str, up: str, errors: Sequence[float]) -> Chart:
    """Return a chart of how an error is spread over the images, best first."""
    best = tuple(sorted(errors))
    shares = tuple((n + 1) / len(best) for n in range(len(best)))
    return Chart(title, "share of images", up, (Line("error", shares, best),))
