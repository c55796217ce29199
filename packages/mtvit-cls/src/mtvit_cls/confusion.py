"""Which classes are taken for which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from mtvit_core.evaluation.details import Matrix

#: Most classes with a row of their own: those with the most mistakes.
SHOWN = 40
OTHERS = "all others"


def confusion_matrix(true: Int64[ndarray, " I"], said: Int64[ndarray, " I"], names: Sequence[str]) -> Matrix:
    """Count the images of each pair of true and best class.

    Args:
        true: Class of each image.
        said: Class with the best score.
        names: Of the classes.
    """
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true, said), 1)
    note = "Images by their class and by the class with the best score."
    if len(names) > SHOWN:
        wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
        kept = np.sort((-wrong).argsort(kind="stable")[:SHOWN])
        group = np.full(len(names), SHOWN)
        group[kept] = np.arange(SHOWN)
        small = np.zeros((SHOWN + 1, SHOWN + 1), np.int64)
        np.add.at(small, (group[:, None], group[None]), counts)
        counts, names = small, [*(names[i] for i in kept), OTHERS]
        note += f" Shown are the {SHOWN} classes with the most mistakes."
    rows = tuple(tuple(row) for row in counts.tolist())
    return Matrix("Confusion of classes", "truth", "found", tuple(names), tuple(names), rows, note)
