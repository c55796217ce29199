"""Mean IoU and pixel accuracy of semantic maps, from one confusion matrix of all images (Long et al. 2015).

With n_ij pixels of class i that are called j, of classes i that occur:

    IoU_i = n_ii / (sum_j n_ij + sum_j n_ji - n_ii),  mIoU = mean_i IoU_i
    pixel accuracy = sum_i n_ii / sum_ij n_ij
"""

import math

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from mtvit_core.evaluation.details import Cell, Details, Matrix, Table
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
        pairs, pixels = torch.unique(true * (none + 1) + said, return_counts=True)
        return torch.stack([pairs // (none + 1), pairs % (none + 1), pixels], 1).numpy()

    def confusion(self) -> Int64[ndarray, "C columns"]:
        """Return pixels by true and found label; the last column is of pixels without a found class."""
        matrix = np.zeros((len(self.categories), len(self.categories) + 1), np.int64)
        for image in self.counts:
            np.add.at(matrix, (image[:, 0], image[:, 1]), image[:, 2])
        return matrix

    def compute(self) -> dict[str, float]:
        """Return mIoU and pixel_accuracy."""
        matrix = self.confusion()
        total, present = int(matrix.sum()), matrix.sum(1) > 0
        if not total:
            return {"mIoU": math.nan, "pixel_accuracy": math.nan}
        right = int(np.diagonal(matrix).sum())
        return {"mIoU": float(_iou(matrix)[present].mean()), "pixel_accuracy": right / total}

    def details(self, min_score: float) -> Details:
        """Return the scores of every class that occurs, and the confusion matrix."""
        matrix = self.confusion()
        rows, columns, iou = matrix.sum(1), matrix.sum(0), _iou(matrix)
        right = np.diagonal(matrix)
        table: tuple[tuple[Cell, ...], ...] = tuple(
            (
                category.name,
                int(rows[i]),
                float(iou[i]),
                int(right[i]) / int(rows[i]),
                int(right[i]) / int(columns[i]) if columns[i] else math.nan,
            )
            for i, category in enumerate(self.categories)
            if rows[i]
        )
        shown = [i for i in range(len(self.categories)) if rows[i] or columns[i]]
        names = tuple(self.categories[i].name for i in shown)
        across = [*shown, len(self.categories)]
        counts = tuple(tuple(int(n) for n in matrix[i, across]) for i in shown)
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


def _iou(matrix: Int64[ndarray, "C columns"]) -> ndarray:
    """IoU of every class; 0 where it neither occurs nor is found."""
    right = np.diagonal(matrix)
    union = matrix.sum(1) + matrix.sum(0)[:-1] - right
    return np.asarray(right / np.maximum(union, 1))
