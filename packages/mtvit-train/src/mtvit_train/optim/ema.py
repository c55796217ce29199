"""An exponential moving average of the weights: w_avg <- d w_avg + (1 - d) w, buffers copied."""

import copy
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from mtvit_train.state.shards import AnyTensor, fill, part, parts_of_weights, whole

Net = TypeVar("Net", bound=nn.Module)


class AveragedWeights(Generic[Net]):
    """A copy of a model that follows it slowly; evaluated and saved in its place.

    Attributes:
        model: The averaged copy; of a model that is shared out, its weights are there after ``whole``, until
            the next update.
        decay: Share of the old average kept at each update; smaller in the first steps, so that the random
            start is forgotten.
        start: The least it is in the first steps.
    """

    def __init__(self, model: Net, decay: float, start: float = 0.0) -> None:
        """Copy the model; with ``decay`` 0 the average is the model's last state."""
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.decay, self.start = decay, start
        self._parts: list[Tensor] = []

    @torch.no_grad()
    def share_out(self, model: Net) -> None:
        """Keep of the average what this process has of a model whose weights are shared out."""
        pairs = zip(self.model.parameters(), model.parameters(), strict=True)
        self._parts = [part(ours, theirs) for ours, theirs in pairs]
        self._let_go()

    def _let_go(self) -> None:
        """Leave the memory of whole weights that are kept in parts."""
        if self._parts:
            for ours in self.model.parameters():
                ours.data = ours.data.new_empty(0)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the averaged model, as this process holds it."""
        state: dict[str, Any] = self.model.state_dict()
        if self._parts:
            kept = dict(zip(map(id, self.model.parameters()), self._parts, strict=True))
            named = self.model.named_parameters(remove_duplicate=False)
            state.update((name, kept[id(ours)]) for name, ours in named)
        return state

    def load_state_dict(self, state: Mapping[str, AnyTensor]) -> None:
        """Go on from the state of an average of as many processes, or of another number."""
        if self._parts:
            self._let_go()
            fill(self.state_dict(), state)
        else:
            self.model.load_state_dict(parts_of_weights(state, self.model))

    @torch.no_grad()
    def whole(self) -> Net:
        """Return the averaged model with all its weights; all processes have to call it."""
        for ours, kept in zip(self.model.parameters(), self._parts, strict=bool(self._parts)):
            ours.data = whole(kept)
        return self.model

    @torch.no_grad()
    def update(self, model: Net, step: int) -> None:
        """Move towards the model after update number ``step``, from 0."""
        self._let_go()
        decay = min(self.decay, max(self.start, (1 + step) / (10 + step)))
        kept: list[Tensor] = self._parts or list(self.model.parameters())
        pairs = [(a, w) for a, w in zip(kept, model.parameters(), strict=True) if w.requires_grad]
        if pairs:  # what is frozen is its own average
            averaged, current = (list(tensors) for tensors in zip(*pairs, strict=True))
            torch._foreach_lerp_(averaged, current, 1 - decay)
        for ours, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
