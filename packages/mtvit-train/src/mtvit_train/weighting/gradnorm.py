"""Weights that give every task its share of the gradient, with tasks that learn slowly ahead.

    w_t n_t = c r_t^a  for all tasks t,  sum_t w_t = number of tasks
    n_t = |dL_t/dW|,  W the last block of the backbone;  r_t = (L_t / L_t(0)) / mean_j (L_j / L_j(0))

Source: GradNorm (Chen et al. 2018, eqs. 1 and 2). There the weights move towards this by gradient descent on
sum_t |w_t n_t - c r_t^a|, c the mean of w_t n_t; here they are solved for, from moving averages.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks
from mtvit_train.weighting.gram import check_shared, shared_gradient


class GradNormConfig(TaskConfig):
    """``[weightings.gradnorm]``.

    Attributes:
        alpha: The exponent a; 0 gives every task the same gradient, however far it is.
        decay: Share of the old averages of norms and losses that is kept when they are taken anew.
        every: Updates from one such time to the next.
    """

    alpha: float = Field(1.5, ge=0)
    decay: float = Field(0.9, ge=0, lt=1)
    every: PositiveInt = 4


class GradNorm(Weighting[GradNormConfig]):
    """Balances the norms of the tasks' gradients.

    Attributes:
        norms: Average of n_t; 0 where a task has given the backbone no gradient yet, for lack of labels or
            because its head is fresh.
        levels: Average of L_t.
        first: L_t(0), the first loss of each task with a gradient.
        calls: Batches weighed.
    """

    name: ClassVar[str] = "gradnorm"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = GradNormConfig

    norms: Float[Tensor, " tasks"]
    levels: Float[Tensor, " tasks"]
    first: Float[Tensor, " tasks"]
    calls: Int64[Tensor, ""]

    def __init__(self, config: GradNormConfig, tasks: Sequence[str]) -> None:
        """Start without any average."""
        super().__init__(config, tasks)
        for name in ("norms", "levels", "first"):
            self.register_buffer(name, torch.zeros(len(self.tasks)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self._shared: tuple[nn.Parameter, ...] = ()

    def begin(self, shared: Sequence[nn.Parameter]) -> None:
        """Keep the weights W.

        Raises:
            ConfigError: they are frozen.
        """
        check_shared(self.name, shared)
        self._shared = tuple(shared)

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms; a task without labels in the batch keeps its averages.

        Raises:
            PluginError: the losses of a task do not read W.
        """
        if int(self.calls) % self.config.every == 0:
            totals = self.totals(losses)
            self._average(torch.stack([self._norm(i, total) for i, total in enumerate(totals)]), totals)
        self.calls += 1
        weights = dict(zip(self.tasks, self.weights(), strict=True))
        return {name: value * weights[name.split("/")[0]] for name, value in losses.items()}

    def factors(self) -> dict[str, float]:
        """Return w of every task."""
        return dict(zip(self.tasks, self.weights().tolist(), strict=True))

    def weights(self) -> Float[Tensor, " tasks"]:
        """Return w_t; 1 for a task that has not been seen."""
        seen = self.norms > 0
        ratio = torch.where(seen, self.levels / self.first, 0)
        rate = ratio / (ratio.sum() / seen.sum())
        share = torch.where(seen, rate**self.config.alpha / self.norms, 0)
        return torch.where(seen, share / share.sum() * seen.sum(), 1)

    def _norm(self, index: int, total: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The norm of dL_t/dW, of the batch of all processes."""
        gradient = shared_gradient(self.name, self.tasks[index], total, self._shared)
        norm: Tensor = torch.linalg.vector_norm(gradient)
        return norm

    @torch.no_grad()
    def _average(self, norms: Float[Tensor, " tasks"], totals: Float[Tensor, " tasks"]) -> None:
        """Take in one batch."""
        losses = mean_over_ranks(totals)
        known = (norms > 0) & norms.isfinite() & (losses > 0)
        keep = torch.where(self.norms > 0, self.config.decay, 0)
        self.first.copy_(torch.where(known & (self.norms == 0), losses, self.first))
        for average, now in ((self.levels, losses), (self.norms, norms)):
            average.copy_(torch.where(known, keep * average + (1 - keep) * now, average))
