"""A scheme that weighs the losses of several tasks against each other."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.plugins.extension import C, Extension


class Weighting(Extension[C], nn.Module):
    """Weighs loss terms; a run names it by ``train.weighting``. Its parameters are trained with the model's.

    Attributes:
        tasks: Names of the tasks that are trained.
    """

    def __init__(self, config: C, tasks: Sequence[str]) -> None:
        """Keep the settings and the tasks.

        Args:
            config: An instance of ``Config``.
            tasks: Names of the tasks that are trained.
        """
        nn.Module.__init__(self)
        Extension.__init__(self, config)
        self.tasks = tuple(tasks)

    def begin(self, shared: Sequence[nn.Parameter]) -> None:
        """Be told once, before the first update, which weights the losses of all tasks read.

        A scheme that balances gradients keeps them, and takes ``torch.autograd.grad`` of the losses by them
        with ``retain_graph=True``; others need not define this.

        Args:
            shared: Weights of the backbone's last block that are trained; none where the block is frozen.
        """
        return None

    def totals(self, losses: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, " tasks"]:
        """Return the sum of each task's terms, in the order of ``tasks``; 0 where it has none."""
        zero = torch.zeros((), device=next(iter(losses.values())).device)
        own = {task: [v for name, v in losses.items() if name.split("/")[0] == task] for task in self.tasks}
        return torch.stack([torch.stack(terms).sum() if terms else zero for terms in own.values()])

    def factors(self) -> dict[str, float]:
        """Return what the loss of each task is multiplied by now, for the records; nothing by default."""
        return {}

    @abstractmethod
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Return the terms whose sum is minimised.

        Args:
            losses: Terms by ``task/term``, as the tasks' own settings weigh them. Those of a task without any
                labelled image in the batch are 0, and so are their gradients.

        Returns:
            The same terms, weighted, and perhaps terms of the scheme itself under other names.
        """
