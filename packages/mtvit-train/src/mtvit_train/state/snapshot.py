"""What a forward pass changes beside the gradients: streams of random numbers and buffers of modules."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mtvit_train.state.random_state import random_state, set_random_state


class StepSnapshot:
    """A moment of a training, to which it can go back as long as no weight was updated.

    Attributes:
        random: Where the streams of random numbers stood.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device) -> None:
        """Keep the present moment.

        Args:
            modules: Whose buffers count.
            device: Where they are.
        """
        self.random: dict[str, Any] = random_state(device)
        self._buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
        self._device = device

    @torch.no_grad()
    def restore(self) -> None:
        """Go back."""
        set_random_state(self.random, self._device)
        for buffer, before in self._buffers:
            buffer.copy_(before)
