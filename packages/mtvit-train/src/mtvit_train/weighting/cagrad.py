"""The update near the mean gradient that helps the worst-off task most.

    max_d min_t g_t . d  with  |d - g_0| <= c |g_0|,  g_0 = mean_t g_t
    d = g_0 + c |g_0| g_w / |g_w|,  g_w = sum_t w_t g_t
    w = argmin over the simplex of  g_w . g_0 + c |g_0| |g_w|

Source: CAGrad (Liu et al. 2021, eqs. 3 to 5). The update is K d / (1 + c^2), of the scale of the sum.
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from pydantic import Field
from scipy.optimize import minimize

from mtvit_core.tasks.task import TaskConfig
from mtvit_train.weighting.gram import GramConfig, GramWeighting

#: Keeps roots away from 0, relative to the mean square of the gradients.
_SMALL = 1e-12


class CAGradConfig(GramConfig):
    """``[weightings.cagrad]``.

    Attributes:
        c: How far the update may be from the mean gradient, relative to it; 0 is the mean.
    """

    c: float = Field(0.4, ge=0, lt=1)


class CAGrad(GramWeighting[CAGradConfig]):
    """Solves for w by sequential quadratic programming."""

    name: ClassVar[str] = "cagrad"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = CAGradConfig

    def weights(self, gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
        """Return d in terms of the gradients."""
        count, c = len(gram), self.config.c
        gram = gram / gram.diagonal().mean()
        equal = np.full(count, 1 / count)
        length = np.sqrt(max(equal @ gram @ equal, 0))

        def worst(w: ndarray) -> float:
            return float(w @ gram @ equal + c * length * np.sqrt(max(w @ gram @ w, 0) + _SMALL))

        w = equal
        if c and count > 1:
            one = {"type": "eq", "fun": lambda w: w.sum() - 1}
            limits = {"bounds": [(0, 1)] * count, "constraints": one}
            w = minimize(worst, equal, method="SLSQP", options={"ftol": 1e-12, "maxiter": 200}, **limits).x
        toward = c * length / np.sqrt(max(w @ gram @ w, 0) + _SMALL)
        return np.asarray(count * (equal + toward * w) / (1 + c**2))
