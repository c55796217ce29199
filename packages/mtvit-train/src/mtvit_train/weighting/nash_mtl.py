"""The bargain of the tasks over an update: each task's gain times its weight is the same.

    M a = 1 / a,  a > 0   the minimum of  a^T M a / 2 - sum_t log a_t

Source: Nash-MTL (Navon et al. 2022, eq. 3 and claim 3.1); solved by Newton's method on the convex function.
The length of the update is free: weights are scaled to sum to the number of tasks.
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from mtvit_core.tasks.task import TaskConfig
from mtvit_train.weighting.gram import GramConfig, GramWeighting

#: Steps of Newton's method at most; ten are the rule.
_STEPS = 100
#: Added to the diagonal, relative to it: tasks of one direction have no single solution.
_RIDGE = 1e-6


class NashMTL(GramWeighting[GramConfig]):
    """``[weightings.nash_mtl]``."""

    name: ClassVar[str] = "nash_mtl"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = GramConfig

    def weights(self, gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
        """Return the bargain, scaled."""
        found = bargain(gram)
        return np.asarray(found * len(found) / found.sum())


def bargain(gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
    """Return a > 0 with M a = 1 / a."""
    size = np.sqrt(gram.diagonal())  # in units of the gradients' lengths the solution is near 1
    unit = gram / np.outer(size, size) + _RIDGE * np.eye(len(gram))
    a = np.full(len(gram), len(gram) ** -0.5)
    for _ in range(_STEPS):
        slope = unit @ a - 1 / a
        step = np.linalg.solve(unit + np.diag(1 / a**2), slope)
        decrement = float(slope @ step)
        a = a - step / (1 + np.sqrt(max(decrement, 0)))  # damped: stays above 0 (self-concordance)
        if decrement < 1e-20:
            break
    return np.asarray(a / size)
