"""Muon: an update turns all directions of a matrix at the same pace.

    B <- 0.95 B + 0.05 G,  N = 0.05 G + 0.95 B,  W <- (1 - lr decay) W - lr sqrt(max(1, rows / columns)) UV'

where N = U S V'. Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".

``torch.optim.Muon`` always finds UV' in bfloat16. That type keeps eight bits, so a difference of 1e-8 between
two gradients, as the sums of several processes make, becomes one of 4e-3 in a faint direction, and weights
part by 4 % within ten updates. This one finds it in a type of choice; in bfloat16 it is torch's, bit for bit.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

#: Iterations, and the factors of x, x^3 and x^5 in each: those of the source, steepest at zero.
ITERATIONS = 5
FACTORS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrix: Float[Tensor, "R C"], dtype: torch.dtype) -> Float[Tensor, "R C"]:
    """Return about UV' of U S V': singular values above 0.0015 of the norm come between 0.68 and 1.21.

    Args:
        matrix: Any scale; zeros stay zeros.
        dtype: In which to iterate, and of the result.
    """
    x = matrix.to(dtype)
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = FACTORS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon over matrices; what it keeps of each is its momentum ``B``, [R, C]."""

    def __init__(
        self, groups: list[dict[str, Any]], momentum: float = 0.95, dtype: torch.dtype = torch.float32
    ) -> None:
        """Take the matrices.

        Args:
            groups: With ``params``, ``lr`` and ``weight_decay``.
            momentum: Share of ``B`` that stays in an update.
            dtype: In which UV' is found.

        Raises:
            ValueError: a parameter is no matrix.
        """
        super().__init__(groups, {"momentum": momentum, "weight_decay": 0.0})
        self.dtype = dtype
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim != 2:
                shape = tuple(parameter.shape)
                raise ValueError(f"Muon updates matrices; found a parameter of shape {shape}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all matrices that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            momentum, lr, decay = group["momentum"], group["lr"], group["weight_decay"]
            for weight in (p for p in group["params"] if p.grad is not None):
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                kept = state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
                turned = orthogonal(weight.grad.lerp(kept, momentum), self.dtype)
                weight.mul_(1 - lr * decay)
                weight.add_(turned, alpha=-lr * math.sqrt(max(1, weight.shape[0] / weight.shape[1])))
        return loss
