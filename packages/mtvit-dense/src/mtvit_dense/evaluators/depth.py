"""Errors of depth over all labelled pixels of a split, d found and d* true.

abs_err = mean |d - d*|    rel_err = mean |d - d*| / d*       MTAN (Liu et al. 2019)
RMSE = sqrt(mean (d - d*)^2)                                  NYUD-v2
delta1 = share of pixels with max(d / d*, d* / d) < 1.25      Eigen et al. 2014
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.evaluation.details import Details
from mtvit_core.structures.pixel_maps import PixelMap
from mtvit_dense.evaluators.dense_evaluator import DenseEvaluator, labelled_pixels, spread

#: Found depth is at least so much, so that ratios stay finite.
LEAST = 1e-6


class DepthEvaluator(DenseEvaluator):
    """Keeps five numbers per image: its labelled pixels, and the sums of what is averaged over them."""

    def count(self, found: PixelMap, truth: Float[Tensor, "*planes H W"]) -> Any:
        """Sum the errors of one image; a label of 0 or less is none."""
        known = truth.isfinite() & (truth > 0)
        (d,), (true,) = labelled_pixels(found, truth, known)
        gap = (d - true).abs()
        ratio = torch.maximum(d.clamp(min=LEAST) / true, true / d.clamp(min=LEAST))
        sums = (gap.sum(), (gap / true).sum(), gap.square().sum(), (ratio < 1.25).sum())
        return (len(true), *(float(one) for one in sums))

    def compute(self) -> dict[str, float]:
        """Return abs_err, rel_err, RMSE and delta1; NaN without a labelled pixel."""
        pixels, *sums = (math.fsum(column) for column in zip((0.0,) * 5, *self.counts, strict=True))
        absolute, relative, square, near = (one / pixels if pixels else math.nan for one in sums)
        return {"abs_err": absolute, "rel_err": relative, "RMSE": math.sqrt(square), "delta1": near}

    def details(self, min_score: float) -> Details:
        """Show how the error is spread over the images."""
        errors = [gap / pixels for pixels, gap, *_ in self.counts if pixels]
        return Details(charts=(spread("Error of the images", "abs_err at most", errors),))
