"""Every stream of random numbers that training may draw from: torch's, numpy's and Python's global ones."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Start all streams, those of every GPU too."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Return where all streams stand, as tensors and plain data.

    Args:
        device: Where the model runs; its stream counts beside the CPU's.
    """
    state: dict[str, Any] = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    name, words, *place = np.random.get_state()
    return state | {"numpy": (name, np.asarray(words).tolist(), *place), "python": random.getstate()}


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Go on from what ``random_state`` returned, here or in another process."""
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    name, words, *place = state["numpy"]
    np.random.set_state((name, np.array(words, np.uint32), *place))
    random.setstate(state["python"])


@contextmanager
def own_stream(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from fresh streams, and leave those of training as they were."""
    before = random_state(device)
    seed_all(seed)
    try:
        yield
    finally:
        set_random_state(before, device)
