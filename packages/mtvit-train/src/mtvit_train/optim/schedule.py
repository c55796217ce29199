"""The learning rate over a run: linear warm-up, then half a cosine (Loshchilov and Hutter 2017)."""

import math


def rate(step: int, steps: int, warmup: int, final: float) -> float:
    """Return the factor on the peak rate.

    Args:
        step: Update about to be made, from 0.
        steps: Updates of the run.
        warmup: Updates of linear rise.
        final: Factor at the end.
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
