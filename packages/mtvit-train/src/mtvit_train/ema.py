"""An exponential moving average of the weights: w_avg <- d w_avg + (1 - d) w, buffers copied."""

import copy
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from mtvit_train.sharded import part, whole

Net = TypeVar("Net", bound=nn.Module)


class AveragedWeights(Generic[Net]):
    """A copy of a model that follows it slowly; evaluated and saved in its place.

    Attributes:
        model: The averaged copy; of a model that is shared out, only after ``whole``.
        decay: Share of the old average kept at each update; smaller in the first steps, so that the random
            start is forgotten.
    """

    def __init__(self, model: Net, decay: float) -> None:
        """Copy the model; with ``decay`` 0 the average is the model's last state."""
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay = decay
        self._parts: list[Tensor] = []

    @torch.no_grad()
    def share_out(self, model: Net) -> None:
        """Keep of the average what this process has of a model whose weights are shared out."""
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        self._parts = [part(ours, theirs) for ours, theirs in pairs]

    def load_state_dict(self, state: Mapping[str, Tensor], model: Net) -> None:
        """Go on from the state of a whole average, which follows ``model`` from here."""
        self.model.load_state_dict(state)
        if self._parts:
            self.share_out(model)

    @torch.no_grad()
    def whole(self) -> Net:
        """Return the averaged model with all its weights; all processes have to call it."""
        for ours, kept in zip(self.model.parameters(), self._parts, strict=bool(self._parts)):
            ours.copy_(whole(kept))
        return self.model

    @torch.no_grad()
    def update(self, model: Net, step: int) -> None:
        """Move towards the model after update number ``step``, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = self._parts or list(self.model.parameters())
        current: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averaged, current, 1 - decay)
        for ours, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
