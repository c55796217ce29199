"""Weights that are learned: L = sum_t exp(-s_t) L_t + s_t, with one s_t per task.

Source: Kendall et al. 2018, eq. 7, with s = log sigma^2 and without the halves.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.task import TaskConfig
from mtvit_core.weighting import Weighting


class UncertaintyConfig(TaskConfig):
    """``[weightings.uncertainty]``: s of every task at the start."""

    start: float = 0.0


class Uncertainty(Weighting[UncertaintyConfig]):
    """Lets each task say how sure it is."""

    name: ClassVar[str] = "uncertainty"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = UncertaintyConfig

    def __init__(self, config: UncertaintyConfig, tasks: Sequence[str]) -> None:
        """One number per task."""
        super().__init__(config, tasks)
        self.s = nn.Parameter(torch.full((len(self.tasks),), config.start))

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms of each task, and add its s as a term."""
        s = dict(zip(self.tasks, self.s, strict=True))
        weighted = {name: value * (-s[name.split("/")[0]]).exp() for name, value in losses.items()}
        return weighted | {f"{task}/uncertainty": value for task, value in s.items()}
