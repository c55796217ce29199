"""An update of a supernet: some candidates, its smallest network and its largest, and what they teach.

    loss = mean over the networks of (loss of labels + distill * distance from the largest's predictions)

The largest learns from labels alone, and is what keeps the statistics of batch norms.

Source: Yu et al. 2020 (BigNAS), section 3.1: the sandwich rule and in-place distillation.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.elastic.backbone import ElasticBackbone
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import ConfigError
from mtvit_core.model.modes import keeping_modes
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.tasks.task import View
from mtvit_train.config.run import RunConfig
from mtvit_train.config.supernet import SupernetConfig
from mtvit_train.distillation.teacher import Teacher

# Keeps the stream of genomes apart from those for order, augmentation, transforms and passes.
_GENOME_STREAM = 7
#: Weightings that may be asked several times in an update.
_WEIGHTINGS = ("fixed", "uncertainty")


class Sandwich:
    """The networks of each update, and what the smaller ones learn from the largest."""

    def __init__(
        self, model: MultiTaskViT, backbone: ElasticBackbone, config: SupernetConfig, seed: int
    ) -> None:
        """Prepare.

        Args:
            model: The supernet.
            backbone: Its backbone.
            config: Settings.
            seed: Number of the run.
        """
        self.backbone, self.drawn, self.seed = backbone, config.drawn, seed
        taught = [task.name for task in model.task_list if task.teaches and config.distill]
        self.teacher = Teacher(model, dict.fromkeys(taught, config.distill))
        self._lessons: dict[tuple[View, int], Mapping[str, Any]] = {}

    def genomes(self, step: int) -> tuple[Genome, ...]:
        """Return the networks of an update, the same in all processes; the largest, with all weights, last.

        Args:
            step: Number of the update.
        """
        self._lessons.clear()  # they were of other weights
        space, rng = self.backbone.space, np.random.default_rng([_GENOME_STREAM, self.seed, step])
        return (*(space.draw(rng) for _ in range(self.drawn)), space.smallest, space.largest)

    @contextmanager
    def running(self, genome: Genome) -> Iterator[None]:
        """Let the backbone run as a genome; of candidates, no batch norm keeps statistics."""
        self.backbone.genome = genome
        try:
            if genome == self.backbone.space.largest:
                yield
            else:
                with _statistics_apart(self.teacher.model):
                    yield
        finally:
            self.backbone.genome = self.backbone.space.largest

    @property
    def runs_largest(self) -> bool:
        """Whether the backbone runs as the largest network."""
        return self.backbone.genome == self.backbone.space.largest

    def losses(self, batch: Batch, view: View) -> dict[str, Float[Tensor, ""]]:
        """Return the terms of a candidate.

        Args:
            batch: A share of the batch of the update, the same for all its networks.
            view: What it shows.
        """
        model = self.teacher.model
        return self.teacher.weigh(model.losses(batch, view, self._taught(batch, view)))

    def _taught(self, batch: Batch, view: View) -> Mapping[str, Any]:
        """What the largest network says of a batch."""
        key = (view, id(batch))
        if key not in self._lessons:
            with self._as_largest(), keeping_modes(self.teacher.model):
                self.teacher.model.eval()
                self._lessons[key] = self.teacher.lessons(batch, view)
        return self._lessons[key]

    @contextmanager
    def _as_largest(self) -> Iterator[None]:
        genome, self.backbone.genome = self.backbone.genome, self.backbone.space.largest
        try:
            yield
        finally:
            self.backbone.genome = genome


@contextmanager
def _statistics_apart(model: nn.Module) -> Iterator[None]:
    """Let what a pass leaves in buffers, such as the statistics of batch norms, be forgotten."""
    held = [
        (module._buffers, name, buffer)
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    for buffers, name, buffer in held:
        buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for buffers, name, buffer in held:
            buffers[name] = buffer


def make_sandwich(config: RunConfig, model: MultiTaskViT) -> Sandwich | None:
    """Return what trains the supernet of a run; None where the model is none.

    Raises:
        ConfigError: the model is none and has settings of one, or another setting does not go with it.
    """
    backbone, table = model.backbone, config.supernet
    if not isinstance(backbone, ElasticBackbone):
        if table != SupernetConfig() and not config.model.genome:
            raise ConfigError(
                f"config: supernet has settings, but the backbone {backbone.name!r} is not elastic; take "
                f"model.backbone='elastic:{backbone.name}', or leave them out."
            )
        return None
    where = f"config: the backbone {backbone.name!r} is a supernet"
    if config.train.parallel == "fsdp":
        raise ConfigError(f"{where}, whose networks need whole weights; set train.parallel='ddp'.")
    if config.train.weighting not in _WEIGHTINGS:
        raise ConfigError(
            f"{where}, whose updates weigh losses several times, but train.weighting is "
            f"{config.train.weighting!r}; take {' or '.join(_WEIGHTINGS)}."
        )
    if config.cache.views:
        raise ConfigError(f"{where}, whose frozen blocks differ from network to network; set cache.views=0.")
    return Sandwich(model, backbone, table, config.train.seed)
