"""Training and evaluation mode of every module of a model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def keeping_modes(model: nn.Module) -> Iterator[None]:
    """Switch every module back, at the end, to the mode it was in."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation without gradients, and every module back to the mode it was in."""
    with keeping_modes(model), torch.inference_mode():
        model.eval()
        yield
