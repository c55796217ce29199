"""Which classes whole images show, packed: a few bytes an image, however many classes there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray

from mtvit_core.structures.annotations import TrueImageLabels


@dataclass(frozen=True, eq=False)
class PackedImageLabels:
    """The classes that the images of one data set show; a class is an index into ``Categories.of_images``.

    Attributes:
        there: Which images are labelled, whether they show a class or none.
        first: Image i shows ``labels[first[i]]`` up to ``labels[first[i + 1]]``.
        labels: The classes.
        known: Classes that the data set looks for.
    """

    there: Bool[ndarray, " I"]
    first: Int64[ndarray, " I+1"]
    labels: Int32[ndarray, " labels"]
    known: Bool[ndarray, " C"]

    @classmethod
    def of(cls, shown: Sequence[Sequence[int] | None], classes: int) -> "PackedImageLabels":
        """Pack the classes of each image; None where an image is not labelled.

        Args:
            shown: Classes of each image.
            classes: How many there are.
        """
        counts = [0 if labels is None else len(labels) for labels in shown]
        return cls(
            there=np.array([labels is not None for labels in shown], bool),
            first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            labels=np.array([label for labels in shown for label in labels or ()], np.int32),
            known=np.ones(classes, bool),
        )

    def moved(self, labels: Sequence[int], classes: int) -> "PackedImageLabels":
        """Return the same in other classes; those that no class of ours becomes are not known.

        Args:
            labels: What each class becomes.
            classes: How many there are then.
        """
        known = np.zeros(classes, bool)
        known[np.array(labels)[self.known]] = True
        return replace(self, labels=np.array(labels, np.int32)[self.labels], known=known)

    def read(self, index: int) -> TrueImageLabels:
        """Return what image ``index`` shows."""
        present = torch.zeros(len(self.known))
        present[self.labels[self.first[index] : self.first[index + 1]].astype(np.int64)] = 1
        return TrueImageLabels(present, torch.from_numpy(self.known.copy()))
