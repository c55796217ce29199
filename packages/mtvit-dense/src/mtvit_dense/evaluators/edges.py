"""The best F-measure of edges over one threshold for the whole split (ODS, Martin et al. 2004).

    precision = share of pixels called edge that lie within r of a true edge
    recall = share of true edge pixels that lie within r of a pixel called edge
    F = 2 precision recall / (precision + recall),  r = tolerance x diagonal of the image

Pixels are not thinned and not paired one to one, as SEISM and the BSDS tools do: values are comparable with
each other, not with published ones.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from scipy.ndimage import distance_transform_edt, grey_dilation
from torch import Tensor

from mtvit_core.evaluation.details import Chart, Details, Line
from mtvit_core.structures.pixel_maps import DenseMap, PixelMap
from mtvit_dense.evaluators.dense_evaluator import DenseEvaluator

#: Thresholds between pixels that are edges and those that are not: 0.01, 0.02, ..., 0.99.
THRESHOLDS = np.arange(1, 100) / 100


class EdgesEvaluator(DenseEvaluator):
    """Keeps four counts per image and threshold: called, of these right, true, of these found."""

    def __init__(self, name: str, tolerance: float) -> None:
        """Start without images.

        Args:
            name: Of the map and of the label.
            tolerance: Distance at which an edge counts as found, as a share of the diagonal.
        """
        super().__init__(name)
        self.tolerance = tolerance

    def count(self, found: PixelMap, truth: Float[Tensor, "*planes H W"]) -> Any:
        """Count the pixels of one image at every threshold."""
        assert isinstance(found, DenseMap)
        known = truth.isfinite().numpy(force=True)
        edge = (truth.nan_to_num() > 0).numpy(force=True)
        said = np.where(known, found.values[0].numpy(force=True), 0.0)
        reach = self.tolerance * math.hypot(*edge.shape)
        near = distance_transform_edt(~edge) <= reach if edge.any() else edge
        around = grey_dilation(said, footprint=_disk(reach))
        every = np.full(len(THRESHOLDS), edge.sum())
        return np.stack(
            [_from_each(said[known]), _from_each(said[known & near]), every, _from_each(around[edge])]
        )

    def _curve(self) -> tuple[Float[ndarray, " T"], Float[ndarray, " T"], Float[ndarray, " T"]]:
        called, right, true, hit = np.sum([np.zeros((4, len(THRESHOLDS)), np.int64), *self.counts], axis=0)
        precision, recall = right / np.maximum(called, 1), hit / np.maximum(true, 1)
        return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)

    def compute(self) -> dict[str, float]:
        """Return ODS, the best F; NaN where no edge is labelled."""
        if not sum(int(image[2, 0]) for image in self.counts):
            return {"ODS": math.nan}
        return {"ODS": float(self._curve()[2].max())}

    def details(self, min_score: float) -> Details:
        """Show precision and recall at all thresholds."""
        if not self.counts:
            return Details()
        precision, recall, _ = self._curve()
        line = Line("edges", tuple(recall.tolist()), tuple(precision.tolist()))
        return Details(
            charts=(Chart("Precision and recall", "recall", "precision", (line,), least=0.0, most=1.0),)
        )


def _from_each(values: Float[ndarray, " pixels"]) -> Int64[ndarray, " T"]:
    """Count the values from each threshold on."""
    return np.asarray(len(values) - np.searchsorted(np.sort(values), THRESHOLDS), np.int64)


def _disk(radius: float) -> Bool[ndarray, "side side"]:
    reach = int(radius)
    steps = np.arange(-reach, reach + 1)
    return np.asarray(steps[:, None] ** 2 + steps**2 <= radius**2)
