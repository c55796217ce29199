"""What scores of maps share: the truth of every pixel, and counts by image."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import (
    NO_SEGMENT,
    UNKNOWN_SEGMENT,
    Annotations,
    TrueSegments,
    annotated_classes,
)
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import VOID, CategoryMap


def true_segments(truth: Annotations, classes: int, stuff: Set[int] = frozenset()) -> TrueSegments | None:
    """Return what every pixel belongs to: as the data set says, else as masks of objects tell.

    From masks, pixels of crowds and pixels that several masks claim are unknown. Pixels outside all masks
    belong to no segment: a thing that is found there is wrong. Of stuff nothing is known.

    Args:
        truth: Of one image, in original pixels.
        classes: Number of categories C.
        stuff: Labels of stuff classes.

    Returns:
        None where neither segments nor masks are labelled.
    """
    if truth.segments is not None or truth.masks is None:
        return truth.segments
    known = annotated_classes([truth], classes)[0].clone()
    known[sorted(stuff)] = False
    whole = known[truth.labels] & ~truth.is_crowd
    unknown = (truth.masks.sum(0) > 1) | truth.masks[~whole].any(0)
    ids = torch.full(unknown.shape, NO_SEGMENT)
    ids[unknown] = UNKNOWN_SEGMENT
    labels: list[int] = []
    for label, mask in zip(truth.labels[whole].tolist(), truth.masks[whole] & ~unknown, strict=True):
        if mask.any():  # others may claim all of it
            labels.append(label)
            ids[mask] = len(labels)
    crowd = torch.zeros(len(labels), dtype=torch.bool)
    return TrueSegments(ids, torch.tensor(labels, dtype=torch.int64), crowd, known)


class MapEvaluator(Evaluator):
    """Scores one map of a task against the truth of every pixel; what is kept of an image are counts.

    Images without such a truth are left out.
    """

    def __init__(self, name: str, categories: Categories, stuff: Set[int] = frozenset()) -> None:
        """Start without images.

        Args:
            name: Of the map in the results.
            categories: Classes of the annotations.
            stuff: Labels of stuff classes; the others are things.
        """
        self.name, self.categories, self.stuff = name, categories, frozenset(stuff)
        self._images: dict[int, dict[str, Any]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Segments, where the data set has some."""
        return frozenset({"segments"})

    @abstractmethod
    def count(self, found: CategoryMap | None, truth: TrueSegments) -> Any:
        """Return what is kept of one image, as plain picklable data.

        Args:
            found: The map; None where the result has none.
            truth: Of the same pixels.
        """

    @property
    def counts(self) -> list[Any]:
        """What was kept of every image, by rising image id."""
        return [image["counts"] for _, image in sorted(self._images.items())]

    @property
    def counts_of_images(self) -> dict[int, Any]:
        """The same by image id."""
        return {id_: image["counts"] for id_, image in self._images.items()}

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images; see ``Evaluator.update``. An image that is already there counts once, as first seen.

        Raises:
            DataError: two different images share an id, or a result is of a category that the annotations do
                not know.
        """
        for found, labelled, image in zip(results, annotations, meta, strict=True):
            truth = true_segments(labelled, len(self.categories), self.stuff)
            if truth is not None:
                values = found.maps.get(self.name)
                counts = self.count(values if isinstance(values, CategoryMap) else None, truth)
                self._add(image.image_id, {"file_name": image.file_name, "counts": counts})

    def state(self) -> dict[str, Any]:
        """Return the counts of every image."""
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

    def labels_of(self, found: CategoryMap) -> Int64[Tensor, "H W"]:
        """Return the label of every pixel of a map, ``VOID`` where it has none.

        Raises:
            DataError: the annotations do not have one of its categories.
        """
        ids, place = torch.unique(found.category_ids, return_inverse=True)
        return torch.tensor([self.label_of(id_) for id_ in ids.tolist()])[place]

    def label_of(self, category_id: int) -> int:
        """Return the label of a category id, ``VOID`` for itself.

        Raises:
            DataError: the annotations do not have it.
        """
        if category_id != VOID and category_id not in self.categories.label_of_id:
            raise DataError(
                f"evaluation of {self.name}: the map holds category id {category_id}, which the annotations "
                "do not have; evaluate a model on the categories it was trained for."
            )
        return self.categories.label_of_id.get(category_id, VOID)

    def _add(self, image_id: int, new: dict[str, Any]) -> None:
        old = self._images.setdefault(image_id, new)
        if old["file_name"] != new["file_name"]:
            raise DataError(
                f"evaluation of {self.name}: image id {image_id} is used for both {old['file_name']!r} and "
                f"{new['file_name']!r}; ids must be unique."
            )


def places_of(ids: Int64[Tensor, "H W"], known: Sequence[int]) -> Int64[Tensor, "H W"]:
    """Return the place of every pixel's id in a list, from 1; 0 for ids that are not in it."""
    values, place = torch.unique(ids, return_inverse=True)
    order = {id_: number for number, id_ in enumerate(known, start=1)}
    return torch.tensor([order.get(value, 0) for value in values.tolist()])[place]


def crowds_of(truth: TrueSegments, labels: Int64[Tensor, " S"]) -> Bool[Tensor, "M S"]:
    """Tell which true segments are crowds of which found segment's class."""
    return truth.is_crowd[:, None] & (truth.labels[:, None] == labels)
