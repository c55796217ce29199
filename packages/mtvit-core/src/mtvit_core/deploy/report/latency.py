"""How long something takes, told by its median and its slow end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Runs before those that count.
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one pass.

    Attributes:
        p50: Half of the passes take less.
        p95: Nineteen of twenty take less.
    """

    p50: float
    p95: float


def latency(run: Callable[[], object], passes: int = 20) -> Latency:
    """Time a function.

    Args:
        run: Does one pass.
        passes: Passes that count, after ``WARM_UP`` others.
    """
    took = []
    for _ in range(WARM_UP + passes):
        start = time.perf_counter()
        run()
        took.append(1000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(took[WARM_UP:], (50, 95))
    return Latency(float(p50), float(p95))
