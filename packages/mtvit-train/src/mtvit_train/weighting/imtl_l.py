"""Losses brought to one scale: L = sum_t e^(s_t) L_t - s_t, with s learned; at the optimum e^(s_t) L_t = 1.

Source: IMTL-L (Liu et al. 2021, Towards Impartial Multi-task Learning, Sec. 3.2).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks


class IMTLLConfig(TaskConfig):
    """``[weightings.imtl_l]``.

    Attributes:
        start: s of every task before the first update.
    """

    start: float = 0.0


class IMTLL(Weighting[IMTLLConfig]):
    """Scales each loss to 1."""

    name: ClassVar[str] = "imtl_l"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = IMTLLConfig

    def __init__(self, config: IMTLLConfig, tasks: Sequence[str]) -> None:
        """One s per task."""
        super().__init__(config, tasks)
        self.s = nn.Parameter(torch.full((len(self.tasks),), config.start))
        self._factors: dict[str, Tensor] = {}

    def factors(self) -> dict[str, float]:
        """Return e^s of every task, as at the last batch."""
        return {task: float(weight) for task, weight in self._factors.items()}

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms, and add -s of each task that has a loss as ``task/scale``."""
        present = mean_over_ranks(self.totals(losses)) != 0
        weights = dict(zip(self.tasks, self.s.exp(), strict=True))
        self._factors = {task: weight.detach() for task, weight in weights.items()}
        weighted = {name: value * weights[name.split("/")[0]] for name, value in losses.items()}
        added = dict(zip(self.tasks, -self.s * present, strict=True))
        return weighted | {f"{task}/scale": value for task, value in added.items()}
