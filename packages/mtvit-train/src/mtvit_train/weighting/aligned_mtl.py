"""Gradients turned and scaled until none dominates and none conflicts: all singular values of G made equal.

    M = V diag(l) V^T,  a = sqrt(l_min) V diag(l)^(-1/2) V^T 1

l_min is the smallest eigenvalue that is not 0. Source: Aligned-MTL (Senushkin et al. 2023, Algorithm 1).
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from mtvit_core.tasks.task import TaskConfig
from mtvit_train.weighting.gram import GramConfig, GramWeighting

#: Eigenvalues below this share of the largest one count as 0.
_RANK = 1e-9


class AlignedMTL(GramWeighting[GramConfig]):
    """``[weightings.aligned_mtl]``."""

    name: ClassVar[str] = "aligned_mtl"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = GramConfig

    def weights(self, gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
        """Return a, which may be negative where gradients conflict."""
        values, vectors = np.linalg.eigh(gram)
        kept = values > _RANK * values.max()
        values, vectors = values[kept], vectors[:, kept]
        scale = np.sqrt(values.min() / values)
        return np.asarray((vectors * scale) @ vectors.T @ np.ones(len(gram)))
