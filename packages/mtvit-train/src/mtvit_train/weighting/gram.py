"""What schemes that balance gradients read: the products of the tasks' gradients, g_s . g_t.

    G = (g_1 ... g_K),  g_t = dL_t/dW,  W the last block of the backbone
    M = G^T G,  update along G a

Every such scheme here needs M alone, and its a are the weights of the losses. They hold for the heads as
well, whose gradients the papers leave as they are; there the optimiser takes most of a factor away.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from pydantic import PositiveInt
from torch import Tensor, nn

from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.distributed.ranks import mean_over_ranks


class GramConfig(TaskConfig):
    """Settings that these schemes share.

    Attributes:
        every: Updates from one time that gradients are compared to the next; each takes a backward pass
            through the last block for every task.
    """

    every: PositiveInt = 1


C = TypeVar("C", bound=GramConfig)


class GramWeighting(Weighting[C]):
    """Weighs losses by the products of their gradients.

    Attributes:
        current: Weights a of the last time; 1 for a task without a gradient then.
        calls: Batches weighed.
    """

    current: Float[Tensor, " tasks"]
    calls: Int64[Tensor, ""]

    def __init__(self, config: C, tasks: Sequence[str]) -> None:
        """Start with equal weights."""
        super().__init__(config, tasks)
        self.register_buffer("current", torch.ones(len(self.tasks)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self._shared: tuple[nn.Parameter, ...] = ()

    @abstractmethod
    def weights(self, gram: Float64[ndarray, "K K"]) -> Float64[ndarray, " K"]:
        """Return a; of each task that counts the gradient is not zero."""

    def begin(self, shared: Sequence[nn.Parameter]) -> None:
        """Keep the weights W.

        Raises:
            ConfigError: they are frozen.
        """
        check_shared(self.name, shared)
        self._shared = tuple(shared)

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms.

        Raises:
            PluginError: the losses of a task do not read W.
        """
        if int(self.calls) % self.config.every == 0:
            self._compare(self.totals(losses))
        self.calls += 1
        weights = dict(zip(self.tasks, self.current, strict=True))
        return {name: value * weights[name.split("/")[0]] for name, value in losses.items()}

    def factors(self) -> dict[str, float]:
        """Return a of every task."""
        return dict(zip(self.tasks, self.current.tolist(), strict=True))

    def _compare(self, totals: Float[Tensor, " tasks"]) -> None:
        gradients = [
            shared_gradient(self.name, task, total, self._shared)
            for task, total in zip(self.tasks, totals, strict=True)
        ]
        stacked = torch.stack(gradients).double()  # products of near-opposite gradients lose their sign
        gram = (stacked @ stacked.T).cpu().numpy()
        seen = np.flatnonzero(np.isfinite(gram.diagonal()) & (gram.diagonal() > 0))
        found = np.ones(len(self.tasks))
        if len(seen):
            found[seen] = self.weights(gram[np.ix_(seen, seen)])
        self.current.copy_(torch.from_numpy(found))


def check_shared(scheme: str, shared: Sequence[nn.Parameter]) -> None:
    """Refuse a backbone that no task trains.

    Raises:
        ConfigError: nothing of its last block is trained.
    """
    if not shared:
        raise ConfigError(
            f"config: train.weighting is {scheme!r}, but the backbone's last block is not trained, so the "
            "tasks share no gradient; take 'fixed' or 'uncertainty', or raise train.backbone_lr."
        )


def shared_gradient(
    scheme: str, task: str, total: Float[Tensor, ""], shared: Sequence[nn.Parameter]
) -> Float[Tensor, " weights"]:
    """Return dL_t/dW of the batch of all processes, flat; zeros for a task without any term.

    Raises:
        PluginError: the loss does not read W.
    """
    if not total.requires_grad:
        return mean_over_ranks(torch.cat([torch.zeros_like(weight).flatten() for weight in shared]))
    parts = torch.autograd.grad(total, shared, retain_graph=True, allow_unused=True)
    if all(part is None for part in parts):
        raise PluginError(
            f"weighting {scheme!r}: the loss of task {task!r} does not read the backbone's last block, so "
            "there is no shared gradient to balance; take another train.weighting."
        )
    pairs = zip(parts, shared, strict=True)
    return mean_over_ranks(
        torch.cat([(torch.zeros_like(weight) if part is None else part).flatten() for part, weight in pairs])
    )
