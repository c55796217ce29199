"""Angles between found and true normals over all labelled pixels of a split (MTAN and NYUD-v2).

mean and median angle in degrees, RMSE of the angle, and the shares below 11.25, 22.5 and 30 degrees
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mtvit_core.evaluation.details import Chart, Details, Line
from mtvit_core.structures.pixel_maps import PixelMap
from mtvit_dense.evaluators.dense_evaluator import DenseEvaluator, labelled_pixels

#: Degrees below which the share of pixels is told.
LIMITS = (11.25, 22.5, 30.0)


class NormalsEvaluator(DenseEvaluator):
    """Keeps the angle of every labelled pixel, 8 bytes each: the median of the split needs them all."""

    def count(self, found: PixelMap, truth: Float[Tensor, "*planes H W"]) -> Any:
        """Measure the angles of one image; a label of length 0 is none."""
        known = truth.isfinite().all(0) & (truth.square().sum(0) > 0)
        return angles(*labelled_pixels(found, truth, known)).numpy()

    @property
    def all_angles(self) -> Float[ndarray, " pixels"]:
        """Angle in degrees of every labelled pixel."""
        return np.concatenate([np.zeros(0), *self.counts])

    def compute(self) -> dict[str, float]:
        """Return mean_angle, median_angle, RMSE and the shares below each limit; NaN without a pixel."""
        every = self.all_angles
        if not len(every):
            names = ("mean_angle", "median_angle", "RMSE", *map(_below, LIMITS))
            return dict.fromkeys(names, math.nan)
        return {
            "mean_angle": float(every.mean()),
            "median_angle": float(np.median(every)),
            "RMSE": math.sqrt(float(np.square(every).mean())),
            **{_below(limit): float((every < limit).mean()) for limit in LIMITS},
        }

    def details(self, min_score: float) -> Details:
        """Show the share of pixels below every angle."""
        every = np.sort(self.all_angles)
        if not len(every):
            return Details()
        limits = tuple(float(limit) for limit in range(91))
        shares = tuple(float(n) for n in np.searchsorted(every, limits) / len(every))
        line = Line("share of pixels", limits, shares)
        return Details(
            charts=(Chart("Angles", "degrees", "share of pixels below", (line,), least=0.0, most=1.0),)
        )


def _below(limit: float) -> str:
    return f"below_{limit:g}"


def angles(a: Float[Tensor, "3 pixels"], b: Float[Tensor, "3 pixels"]) -> Float[Tensor, " pixels"]:
    """Return the angle between vectors in degrees, by both sine and cosine: exact near 0 and 180 too."""
    sine, cosine = torch.linalg.cross(a, b, dim=0).norm(dim=0), (a * b).sum(0)
    return torch.atan2(sine, cosine).rad2deg()
