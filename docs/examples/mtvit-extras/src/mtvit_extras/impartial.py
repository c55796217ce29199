"""Weights that bring all losses to one scale: L = sum_t exp(s_t) L_t - s_t, with one learned s_t per task.

Source: IMTL-L, Liu et al. 2021. At the optimum exp(s_t) L_t = 1 for every task.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core import TaskConfig, Weighting


class ImpartialConfig(TaskConfig):
    """``[weightings.impartial]``: s of every task at the start."""

    start: float = 0.0


class Impartial(Weighting[ImpartialConfig]):
    """Scales the loss of each task to one."""

    name: ClassVar[str] = "impartial"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = ImpartialConfig

    def __init__(self, config: ImpartialConfig, tasks: Sequence[str]) -> None:
        """One number per task."""
        super().__init__(config, tasks)
        self.s = nn.Parameter(torch.full((len(self.tasks),), config.start))

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms of each task, and take off its s where the batch has labels for it."""
        s = dict(zip(self.tasks, self.s, strict=True))
        weighted = {name: value * s[name.split("/")[0]].exp() for name, value in losses.items()}
        labelled = self.totals(losses).detach() != 0
        taken = dict(zip(self.tasks, -self.s * labelled, strict=True))
        return weighted | {f"{task}/impartial": value for task, value in taken.items()}
