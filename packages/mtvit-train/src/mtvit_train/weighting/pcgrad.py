"""Gradients without what they take from each other: where g_t . g_j < 0, g_t loses its part along g_j.

    for each t, over the others j in random order:  c = g_t . g_j;  if c < 0:  g_t <- g_t - c / |g_j|^2 g_j

Source: PCGrad (Yu et al. 2020, Algorithm 1).
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from mtvit_core.tasks.task import TaskConfig
from mtvit_train.weighting.gram import GramConfig, GramWeighting


class PCGrad(GramWeighting[GramConfig]):
    """``[weightings.pcgrad]``. The order is a function of the number of the batch."""

    name: ClassVar[str] = "pcgrad"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = GramConfig

    def weights(self, gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
        """Return the sum of the projected gradients, in terms of the given ones."""
        rng, count = np.random.default_rng(int(self.calls)), len(gram)
        projected = np.eye(count)
        for t, own in enumerate(projected):
            for j in rng.permutation(count):
                along = own @ gram[:, j]
                if j != t and along < 0:
                    own[j] -= along / gram[j, j]
        return np.asarray(projected.sum(0))
