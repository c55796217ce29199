"""A scheme that weighs the losses of several tasks against each other."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.part import C, Part


class Weighting(Part[C], nn.Module):
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
        Part.__init__(self, config)
        self.tasks = tuple(tasks)

    @abstractmethod
    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Return the terms whose sum is minimised.

        Args:
            losses: Terms by ``task/term``, as the tasks' own settings weigh them.

        Returns:
            The same terms, weighted, and perhaps terms of the scheme itself under other names.
        """
