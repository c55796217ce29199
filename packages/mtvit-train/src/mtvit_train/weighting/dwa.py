"""Weights by how slowly losses fall: w_t = K softmax_t(r_t / T),  r_t = L_t(e - 1) / L_t(e - 2).

L_t(e) is the mean loss of the e-th span of updates; for the first two spans w = 1. Source: Dynamic Weight
Average (Liu et al. 2019, eq. 7), whose spans are epochs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from pydantic import Field, PositiveInt
from torch import Tensor

from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks


class DWAConfig(TaskConfig):
    """``[weightings.dwa]``.

    Attributes:
        temperature: T; large values give equal weights.
        span: Updates of a span.
    """

    temperature: float = Field(2.0, gt=0)
    span: PositiveInt = 100


class DWA(Weighting[DWAConfig]):
    """Weighs by ratios of mean losses.

    Attributes:
        means: L_t of the last span and of the one before; 0 where there is none yet.
        sums: Sum of L_t in the present span.
        counts: Batches of the present span in which each task had a loss.
        calls: Batches weighed.
    """

    name: ClassVar[str] = "dwa"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = DWAConfig

    means: Float[Tensor, "2 tasks"]
    sums: Float[Tensor, " tasks"]
    counts: Float[Tensor, " tasks"]
    calls: Int64[Tensor, ""]

    def __init__(self, config: DWAConfig, tasks: Sequence[str]) -> None:
        """Start without any mean."""
        super().__init__(config, tasks)
        self.register_buffer("means", torch.zeros(2, len(self.tasks)))
        self.register_buffer("sums", torch.zeros(len(self.tasks)))
        self.register_buffer("counts", torch.zeros(len(self.tasks)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def weights(self) -> Float[Tensor, " tasks"]:
        """Return w; a task without two means counts as one whose loss stays."""
        last, before = self.means
        ratio = torch.where((last > 0) & (before > 0), last / before, 1)
        return len(self.tasks) * (ratio / self.config.temperature).softmax(0)

    def factors(self) -> dict[str, float]:
        """Return w of every task."""
        return dict(zip(self.tasks, self.weights().tolist(), strict=True))

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms, and take them in."""
        weights = dict(zip(self.tasks, self.weights(), strict=True))
        self._take_in(mean_over_ranks(self.totals(losses).detach()))
        return {name: value * weights[name.split("/")[0]] for name, value in losses.items()}

    @torch.no_grad()
    def _take_in(self, totals: Float[Tensor, " tasks"]) -> None:
        self.calls += 1
        self.sums += totals
        self.counts += totals != 0
        if int(self.calls) % self.config.span == 0:
            means = self.sums / self.counts.clamp(min=1)
            self.means.copy_(torch.stack([torch.where(self.counts > 0, means, self.means[0]), self.means[0]]))
            self.sums.zero_()
            self.counts.zero_()
