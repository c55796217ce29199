"""A linear layer between a shared and an own one: y = (g W + (1 - g) W') x + g b + (1 - g) b'."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class _Chosen(torch.autograd.Function):
    """One of two tensors, with the gradient <dL/dW, W - W'> for the gate that chose it."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, chosen: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        ctx.save_for_backward(shared, own)
        return chosen.view_as(chosen)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None, None]:
        (gradient,), (shared, own) = gradients, ctx.saved_tensors
        return (gradient * (shared - own)).sum(), gradient, None, None


def mixed(gate: Float[Tensor, ""], value: float, shared: Tensor, own: Tensor) -> Tensor:
    """Return g W + (1 - g) W'.

    Where the gate is 0 or 1, that is one of the two, and the other gets no gradient, not even one of zeros:
    an optimiser would go on shrinking it.

    Args:
        gate: The gate g, through which the gradient goes.
        value: What it is.
        shared: W.
        own: W', of the same shape.
    """
    if value not in (0.0, 1.0):
        return gate * shared + (1 - gate) * own
    chosen = shared if value else own
    if not gate.requires_grad:
        return chosen
    found: Tensor = _Chosen.apply(gate, chosen, shared.detach(), own.detach())
    return found


class GatedLinear(nn.Module):
    """The layer of one task in one pass; it owns no weights."""

    def __init__(self, gate: Float[Tensor, ""], value: float, shared: nn.Linear, own: nn.Linear) -> None:
        """Keep what it is made of.

        Args:
            gate: As for ``mixed``.
            value: The same.
            shared: The shared layer.
            own: That of the task.
        """
        super().__init__()
        self.gate, self.value = gate, value
        self.layers = (shared, own)  # a tuple, so that they stay layers of the block alone

    def forward(self, x: Float[Tensor, "*any I"]) -> Float[Tensor, "*any O"]:
        """Return the output."""
        shared, own = self.layers
        weight = mixed(self.gate, self.value, shared.weight, own.weight)
        bias = None if shared.bias is None else mixed(self.gate, self.value, shared.bias, own.bias)
        return F.linear(x, weight, bias)
