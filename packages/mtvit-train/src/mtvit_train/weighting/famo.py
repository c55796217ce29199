"""Losses that fall at one rate, without comparing gradients.

    minimise  c sum_t z_t log L_t,  z = softmax(xi),  c = 1 / sum_t (z_t / L_t)
    xi by Adam on  J^T (log L_t - log L'_t),  J = dz/dxi,  L' the losses after the update

Source: FAMO (Liu et al. 2023, Algorithm 1). There L' is measured on the same batch by another forward pass;
here it is the loss of the next batch, which costs nothing, but also tells how batches differ.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks

#: Decays and epsilon of Adam; the smallest loss whose logarithm is taken.
_BETAS, _EPS, _LEAST = (0.9, 0.999), 1e-8, 1e-8


class FAMOConfig(TaskConfig):
    """``[weightings.famo]``.

    Attributes:
        lr: Rate of xi.
        decay: Weight decay of xi, gamma: 0.001 for NYUv2 and 0.01 for Cityscapes in the paper.
    """

    lr: float = Field(0.025, gt=0)
    decay: float = Field(0.001, ge=0)


class FAMO(Weighting[FAMOConfig]):
    """Weighs each loss by c z_t / L_t.

    Attributes:
        xi: Logits of z.
        moments: First and second moment of Adam.
        before: log L of the last batch; NaN where a task had no loss.
        calls: Updates of xi.
        current: Weights of the last batch.
    """

    name: ClassVar[str] = "famo"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = FAMOConfig

    xi: Float[Tensor, " tasks"]
    moments: Float[Tensor, "2 tasks"]
    before: Float[Tensor, " tasks"]
    calls: Int64[Tensor, ""]
    current: Float[Tensor, " tasks"]

    def __init__(self, config: FAMOConfig, tasks: Sequence[str]) -> None:
        """Start with equal z."""
        super().__init__(config, tasks)
        self.register_buffer("xi", torch.zeros(len(self.tasks)))
        self.register_buffer("moments", torch.zeros(2, len(self.tasks)))
        self.register_buffer("before", torch.full((len(self.tasks),), torch.nan))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("current", torch.ones(len(self.tasks)))

    def factors(self) -> dict[str, float]:
        """Return c z_t / L_t of every task, as at the last batch."""
        return dict(zip(self.tasks, self.current.tolist(), strict=True))

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms; a task without a loss in the batch keeps its xi and its weight."""
        self._weigh(mean_over_ranks(self.totals(losses).detach()))
        weights = dict(zip(self.tasks, self.current, strict=True))
        return {name: value * weights[name.split("/")[0]] for name, value in losses.items()}

    @torch.no_grad()
    def _weigh(self, totals: Float[Tensor, " tasks"]) -> None:
        there = totals > 0
        logs = torch.where(there, totals.clamp(min=_LEAST).log(), torch.nan)
        fallen = self.before - logs
        if fallen.isfinite().any():
            self._move(fallen.nan_to_num())
        self.before.copy_(torch.where(there, logs, self.before))
        share = torch.where(there, self.xi.softmax(0) / totals.clamp(min=_LEAST), 0)
        weights = share / share.sum().clamp(min=_LEAST)
        self.current.copy_(torch.where(there, weights, self.current))

    def _move(self, fallen: Float[Tensor, " tasks"]) -> None:
        """One step of Adam along J^T fallen, J = diag(z) - z z^T, with weight decay in the gradient."""
        z = self.xi.softmax(0)
        slope = z * (fallen - (z * fallen).sum()) + self.config.decay * self.xi
        self.calls += 1
        first, second = self.moments
        first.mul_(_BETAS[0]).add_(slope, alpha=1 - _BETAS[0])
        second.mul_(_BETAS[1]).add_(slope**2, alpha=1 - _BETAS[1])
        step = int(self.calls)
        mean, square = first / (1 - _BETAS[0] ** step), second / (1 - _BETAS[1] ** step)
        self.xi.sub_(self.config.lr * mean / (square.sqrt() + _EPS))
