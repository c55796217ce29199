"""The weighting of a run; one fixed factor per task where it names none."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.linears import ungated
from mtvit_core.backbones.interface import Backbone
from mtvit_core.plugins.loss_weighting import Weighting
from mtvit_core.plugins.registry import make_extension
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.config.run import RunConfig


class FixedConfig(TaskConfig):
    """Factor on the losses of a task, by name; 1 where absent."""

    factors: dict[str, float] = Field(default_factory=dict)


class FixedWeights(Weighting[FixedConfig]):
    """Multiplies the losses of each task by its factor."""

    name = "fixed"
    api = 1
    Config = FixedConfig

    def forward(self, losses: Mapping[str, Float[Tensor, ""]]) -> dict[str, Float[Tensor, ""]]:
        """Weigh the terms."""
        factors = self.config.factors
        return {name: value * factors.get(name.split("/")[0], 1.0) for name, value in losses.items()}


def make_weighting(config: RunConfig, tasks: Sequence[str]) -> Weighting[Any]:
    """Make the weighting that ``train.weighting`` names.

    Raises:
        PluginError: no plugin brings it.
        ConfigError: one of its settings is unknown or has a wrong value.
    """
    if config.train.weighting == FixedWeights.name:
        return FixedWeights(FixedConfig(factors=config.train.task_weights), tasks)
    settings = config.weightings.get(config.train.weighting, {})
    made: Weighting[Any] = make_extension("weighting", config.train.weighting, settings, tuple(tasks))
    return made


def shared_weights(backbone: Backbone) -> list[nn.Parameter]:
    """Return the weights that the losses of all tasks read: those of the last block, as far as trained."""
    last = backbone.blocks()[-1]
    read = ungated(last) if isinstance(backbone, BranchedBackbone) else last.parameters()
    return [weight for weight in read if weight.requires_grad]
