"""An exponential moving average of the weights: w_avg <- d w_avg + (1 - d) w, buffers copied."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


class AveragedWeights(Generic[Net]):
    """A copy of a model that follows it slowly; evaluated and saved in its place.

    Attributes:
        model: The averaged copy.
        decay: Share of the old average kept at each update; smaller in the first steps, so that the random
            start is forgotten.
    """

    def __init__(self, model: Net, decay: float) -> None:
        """Copy the model; with ``decay`` 0 the average is the model's last state."""
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Net, step: int) -> None:
        """Move towards the model after update number ``step``, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = list(self.model.parameters())
        current: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)
        for ours, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
