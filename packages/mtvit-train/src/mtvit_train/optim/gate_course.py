"""How the gates of a backbone are learned over the updates of a run.

    random gates   until warmup      g ~ Bernoulli(1/2), so that W and W' part: while equal, dL/ds = 0
    learned        until freeze_at   an estimator; loss + weight max(0, P - budget) / budget
    frozen         to the end        the gates that the scores say, as far as the budget lets

Every draw is a function of the seed and the number of the update, the same in all processes.

Source: AdaShare (Sun et al. 2020) for warm-up and temperature; ViT-MVT (2023) for gates of linear layers.
"""

from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.estimators import THRESHOLD, Estimator, Gumbel, StraightThrough
from mtvit_core.backbones.branched.gates import LINEARS, Gates
from mtvit_core.backbones.branched.storage import stored, within
from mtvit_core.backbones.interface import Backbone
from mtvit_core.errors import ConfigError
from mtvit_train.config.run import RunConfig
from mtvit_train.config.sharing import SharingConfig

# Keeps the draws of gates, and of noise on copies, apart from other streams of random numbers.
_GATE_STREAM, _COPY_STREAM = 12, 13

Phase = Literal["random", "learned", "frozen"]


class GateCourse:
    """The gates of a backbone in training.

    Attributes:
        backbone: Whose gates they are.
        phase: What is done with them in this update.
    """

    def __init__(self, backbone: BranchedBackbone, table: SharingConfig, steps: int, seed: int) -> None:
        """Prepare the backbone.

        Args:
            backbone: A backbone with scores.
            table: Settings.
            steps: Updates of the run.
            seed: Number of the run.

        Raises:
            ConfigError: the budget is less than what everything shared takes.
        """
        if 0 < table.budget < 1:
            raise ConfigError(
                f"sharing.budget is {table.budget}, but everything shared takes 1 times the parameters of "
                "the plain backbone; give at least 1, or 0 for no limit."
            )
        self.backbone, self.table, self.seed = backbone, table, seed
        self.learns_from = round(table.warmup * steps)
        self.freezes = min(round(table.freeze_at * steps), steps - 1)  # the last gates keep to the budget
        self.phase: Phase = "random"
        backbone.score_rate = table.score_lr
        if table.noise:
            _part(backbone, table.noise, seed)

    @property
    def scores(self) -> Float[Tensor, "L T 4"]:
        """What decides the gates."""
        assert self.backbone.scores is not None
        return self.backbone.scores

    @torch.no_grad()
    def begin(self, step: int) -> None:
        """Tell the backbone how gates follow from the scores in update number ``step``, from 0."""
        backbone, table = self.backbone, self.table
        if table.estimator == "straight-through":
            self.scores.clamp_(0, 1)
        self.phase = "frozen" if step >= self.freezes else "learned" if step >= self.learns_from else "random"
        backbone.hold(self._final() if self.phase == "frozen" else self._said())
        backbone.drawn = self._random(step) if self.phase == "random" else None
        backbone.estimator = self._estimator(step) if self.phase == "learned" else None
        backbone.apart = self.phase == "learned"

    def terms(self) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of what is stored above the budget: nothing where gates are not learned."""
        if not self.table.budget:
            return {}
        backbone, scores = self.backbone, self.scores
        if self.phase != "learned":
            return {"sharing/budget": scores.new_zeros(())}
        soft = self.table.estimator == "gumbel"
        gates = (scores - THRESHOLD).sigmoid() if soft else StraightThrough().gates(scores)
        limit = self.table.budget * backbone.plain_size
        parameters = stored(gates, backbone.sizes.to(scores.device), backbone.rest)
        return {"sharing/budget": self.table.budget_weight * (parameters - limit).clamp(min=0) / limit}

    def _said(self) -> Gates:
        return Gates.of(self.backbone.tasks, self.backbone.spec.depth, self.scores.tolist())

    def _final(self) -> Gates:
        """The gates that the scores say; above the budget, those that are nearest to shared are."""
        backbone, said = self.backbone, self._said()
        if not self.table.budget:
            return said
        limit, first = self.table.budget * backbone.plain_size, backbone.first
        empty = Gates(said.tasks, said.depth)
        order = sorted(said.own, key=lambda layer: (self._score(*layer), layer))
        return within(order, limit, backbone.sizes, backbone.rest, empty, first)

    def _score(self, task: str, block: int, linear: str) -> float:
        backbone = self.backbone
        place = block - backbone.first, backbone.tasks.index(task), LINEARS.index(linear)
        return float(self.scores[place])

    def _random(self, step: int) -> Gates:
        drawn = np.random.default_rng([_GATE_STREAM, self.seed, step]).integers(2, size=self.scores.shape)
        return Gates.of(self.backbone.tasks, self.backbone.spec.depth, drawn.tolist())

    def _estimator(self, step: int) -> Estimator:
        if self.table.estimator == "straight-through":
            return StraightThrough()
        begin, end = self.table.temperature
        done = (step - self.learns_from) / max(1, self.freezes - self.learns_from)
        noise = np.random.default_rng([_GATE_STREAM, self.seed, step]).logistic(size=self.scores.shape)
        return Gumbel(begin * (end / begin) ** done, torch.from_numpy(noise))


@torch.no_grad()
def _part(backbone: BranchedBackbone, noise: float, seed: int) -> None:
    """Add noise to own copies."""
    stream = torch.Generator().manual_seed(int(np.random.default_rng([_COPY_STREAM, seed]).integers(2**63)))
    for name, weight in backbone.named_parameters():
        if ".own." in name and weight.ndim == 2:
            weight.add_(noise * weight.std() * torch.randn(weight.shape, generator=stream))


def gate_course(backbone: Backbone, config: RunConfig, tasks: list[str]) -> GateCourse | None:
    """Return how the gates of a run are learned; None where there are none to learn.

    Args:
        backbone: The backbone of the run.
        config: Settings.
        tasks: Tasks of the run.

    Raises:
        ConfigError: ``[sharing]`` has settings and no gates are learned; or the backbone names a task that is
            not trained; or a setting of ``[train]`` does not go with it.
    """
    if isinstance(backbone, BranchedBackbone):
        _check(backbone, config, tasks)
        if backbone.scores is not None:
            return GateCourse(backbone, config.sharing, config.train.steps, config.train.seed)
    if config.sharing != SharingConfig():
        raise ConfigError(
            f"config: sharing has settings, but backbone {backbone.name!r} learns no gates; take a "
            "branched:<plain ViT> without model.options.gates, or leave [sharing] out."
        )
    return None


def _check(backbone: BranchedBackbone, config: RunConfig, tasks: list[str]) -> None:
    for task in [task for task in backbone.tasks if task not in tasks][:1]:
        if not config.model.start:
            raise ConfigError(
                f"model.options.tasks names {task!r}, which this run does not train; it trains "
                f"{', '.join(tasks)}: name some of these."
            )
    for task in [task for task in tasks if task not in backbone.tasks][:1]:
        if backbone.scores is not None:
            raise ConfigError(
                f"model.options.tasks does not name {task!r}, which this run trains; where gates are "
                "learned, name every task, for a shared copy that no named one shares is dropped."
            )
    refused: dict[str, tuple[Any, bool, Any]] = {
        "parallel": ("fsdp", True, "ddp"),
        "compile": (True, backbone.scores is not None, False),
    }
    for setting, (value, holds, other) in refused.items():
        if holds and getattr(config.train, setting) == value:
            raise ConfigError(
                f"config: train.{setting} is {value!r}, which does not go with backbone {backbone.name!r}, "
                f"whose tasks may run other layers in each pass; set train.{setting}={str(other).lower()}."
            )
