"""Scores of classes from one confusion matrix of all images (Long et al. 2015).

With n_ij pixels of class i that are called j, of classes i that occur:

    IoU_i = n_ii / (sum_j n_ij + sum_j n_ji - n_ii),  mIoU = mean_i IoU_i
    pixel accuracy = sum_i n_ii / sum_ij n_ij
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor

from mtvit_core.evaluation.details import Cell, Details, Matrix, Table

#: Pairs of true and found class of one image, and the pixels of each.
Pairs = Int64[ndarray, "_pairs 3"]


@dataclass(frozen=True)
class Confusion:
    """Pixels by true and found class.

    Attributes:
        names: Names of the classes.
        matrix: Rows are true classes; the last column is of pixels without a found class.
    """

    names: tuple[str, ...]
    matrix: Int64[ndarray, "C columns"]

    @classmethod
    def of(cls, names: Sequence[str], images: Iterable[Pairs]) -> "Confusion":
        """Sum what ``count_pairs`` returned for each image."""
        matrix = np.zeros((len(names), len(names) + 1), np.int64)
        for image in images:
            np.add.at(matrix, (image[:, 0], image[:, 1]), image[:, 2])
        return cls(tuple(names), matrix)

    @property
    def iou(self) -> ndarray:
        """IoU of every class; 0 where it neither occurs nor is found."""
        right = np.diagonal(self.matrix)
        union = self.matrix.sum(1) + self.matrix.sum(0)[:-1] - right
        return np.asarray(right / np.maximum(union, 1))

    def scores(self) -> dict[str, float]:
        """Return mIoU and pixel_accuracy; NaN without a labelled pixel."""
        total, present = int(self.matrix.sum()), self.matrix.sum(1) > 0
        if not total:
            return {"mIoU": math.nan, "pixel_accuracy": math.nan}
        right = int(np.diagonal(self.matrix).sum())
        return {"mIoU": float(self.iou[present].mean()), "pixel_accuracy": right / total}

    def details(self) -> Details:
        """Return the scores of every class that occurs, and the matrix."""
        rows, columns, iou = self.matrix.sum(1), self.matrix.sum(0), self.iou
        right = np.diagonal(self.matrix)
        table: tuple[tuple[Cell, ...], ...] = tuple(
            (
                name,
                int(rows[i]),
                float(iou[i]),
                int(right[i]) / int(rows[i]),
                int(right[i]) / int(columns[i]) if columns[i] else math.nan,
            )
            for i, name in enumerate(self.names)
            if rows[i]
        )
        shown = [i for i in range(len(self.names)) if rows[i] or columns[i]]
        names = tuple(self.names[i] for i in shown)
        across = [*shown, len(self.names)]
        counts = tuple(tuple(int(n) for n in self.matrix[i, across]) for i in shown)
        return Details(
            tables=(
                Table("Semantic scores by class", ("class", "pixels", "IoU", "recall", "precision"), table),
            ),
            matrices=(
                Matrix(
                    "Confusion of pixels", "truth", "found", names, (*names, "none"), counts,
                    "Pixels of each class; those without a true class are left out.",
                ),
            ),
        )  # fmt: skip


def count_pairs(true: Int64[Tensor, " pixels"], said: Int64[Tensor, " pixels"], classes: int) -> Pairs:
    """Count the pixels of every pair of true and found class that occurs in one image.

    Args:
        true: Class of each labelled pixel.
        said: Class that was found there, ``classes`` where none was.
        classes: Number of classes C.
    """
    pairs, pixels = torch.unique(true * (classes + 1) + said, return_counts=True)
    return torch.stack([pairs // (classes + 1), pairs % (classes + 1), pixels], 1).numpy()
