"""Weights that are learned with the model: L = sum_t exp(-s_t) L_t + s_t, one log-variance s_t per task.

Source: Kendall et al. 2018, eq. 7, with s = log sigma^2 and without the halves, so that at s = 0 every task
counts as it is.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks


class UncertaintyConfig(TaskConfig):
    """``[weightings.uncertainty]``.

    Attributes:
        start: s of every task before the first update.
    """

    start: float = 0.0


class Uncertainty(Weighting[UncertaintyConfig]):
    """Lets each task say how noisy it is; at the optimum the weight of a task is 1 / L_t."""

    name: ClassVar[str] = "uncertainty"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = UncertaintyConfig

    def __init__(self, config: UncertaintyConfig, tasks: Sequence[str]) -> None:
        """One s per task."""
        super().__init__(config, tasks)
        self.s = nn.Parameter(torch.full((len(self.tasks),), config.start))
        self._factors: dict[str, Tensor] = {}

    def factors(self) -> dict[str, float]:
        """Return exp(-s) of every task, as at the last batch."""
        return {task: float(weight) for task, weight in self._factors.items()}

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms of each task, and add its s as ``task/uncertainty``.

        A task without labels in the batch adds no s: with nothing to hold it, its weight would grow without
        end.
        """
        present = mean_over_ranks(self.totals(losses)) != 0
        weights = dict(zip(self.tasks, (-self.s).exp(), strict=True))
        self._factors = {task: weight.detach() for task, weight in weights.items()}
        weighted = {name: value * weights[name.split("/")[0]] for name, value in losses.items()}
        added = dict(zip(self.tasks, self.s * present, strict=True))
        return weighted | {f"{task}/uncertainty": value for task, value in added.items()}
