"""The usual measures of depth: MAE = mean |d - t|, delta1 = share of pixels with max(d / t, t / d) < 1.25.

Source: Eigen et al. 2014, Sec. 4.1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from mtvit_core import Annotations, Chart, DenseMap, Details, Evaluator, ImageMeta, ImageResult, Line

#: Nearer than this is this far, so that ratios stay finite.
NEAR = 1e-3


class DistanceEvaluator(Evaluator):
    """Keeps three numbers per labelled image: its labelled pixels, the sum of their errors, and the hits."""

    def __init__(self) -> None:
        """Start without images."""
        self.images: dict[int, tuple[int, float, int]] = {}

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images that carry depth."""
        for result, truth, at in zip(results, annotations, meta, strict=True):
            if "depth" in truth.has:
                known = ~truth.maps["depth"].isnan()
                found, label = _depth(result)[known], truth.maps["depth"][known]
                near, far = found.clamp(min=NEAR), label.clamp(min=NEAR)
                hits = int(((near / far < 1.25) & (far / near < 1.25)).sum())
                self.images[at.image_id] = (int(known.sum()), float((found - label).abs().sum()), hits)

    def state(self) -> dict[str, Any]:
        """Return the numbers of every image, by its id."""
        return {"images": self.images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Unite what several processes saw."""
        self.images = {key: numbers for state in states for key, numbers in state["images"].items()}

    def compute(self) -> dict[str, float]:
        """Return both measures over all labelled pixels; NaN where there is none."""
        pixels, error, hits = (sum(column) for column in zip((0, 0.0, 0), *self.images.values(), strict=True))
        return {
            "MAE": error / pixels if pixels else math.nan,
            "delta1": hits / pixels if pixels else math.nan,
        }

    def details(self, min_score: float) -> Details:
        """Show how the error is spread over the images, best first."""
        errors = sorted(error / pixels for pixels, error, _ in self.images.values() if pixels)
        shares = tuple((n + 1) / len(errors) for n in range(len(errors)))
        spread = Chart(
            "Error of the images", "share of images", "MAE at most", (Line("MAE", shares, tuple(errors)),)
        )
        return Details(charts=(spread,))


def _depth(result: ImageResult) -> Float[Tensor, "H W"]:
    values = result.maps["distance"]
    assert isinstance(values, DenseMap)
    return values.values[0]
