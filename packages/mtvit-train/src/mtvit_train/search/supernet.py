"""A trained supernet with the images that its candidates are scored on."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.backbones.elastic.backbone import ElasticBackbone, elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.deploy.report.price import pass_latency
from mtvit_core.device import pick_device
from mtvit_core.errors import ConfigError
from mtvit_core.model.checkpoint import load
from mtvit_core.model.cut_out import calibrate, cut_out
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.framing import Letterbox
from mtvit_core.tasks.task import View
from mtvit_core.threads import usable_cores
from mtvit_train.build.data import read_data
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.config.search import SearchConfig, SearchTable
from mtvit_train.data.loading.loader import load as load_batches
from mtvit_train.distributed.stop_signals import StopRequest
from mtvit_train.engine.evaluate import evaluate_tasks, metrics_of
from mtvit_train.search.evolution.search import Images

#: Number of the stream that draws images; generations have other ones.
_IMAGES_STREAM = 20230714


@dataclass(frozen=True, eq=False)
class Supernet:
    """A model whose backbone is elastic, and data.

    Attributes:
        model: The supernet, on the device where candidates run.
        splits: What candidates are scored on, by the images' purpose.
        training: Training images, on which batch norms are calibrated.
        config: Settings of the search.
        notes: What was changed or left out when the data were read, a line each.
    """

    model: MultiTaskViT
    splits: dict[Images, DataSplit]
    training: DataSplit
    config: SearchConfig
    notes: tuple[str, ...]
    _counts: dict[Genome, int] = field(default_factory=dict)

    @classmethod
    def of(cls, config: SearchConfig, data: Path) -> "Supernet":
        """Read a supernet and its data.

        Args:
            config: Settings.
            data: The data folder.

        Raises:
            CheckpointError: there is no such model, or it cannot be read.
            ConfigError: the model is no supernet, or the device is not there.
            DataError: a file is missing or malformed, or the model does not know a category of the data.
        """
        model = load(config.supernet).to(pick_device(config.search.device)).eval()
        elastic(model.backbone, f"supernet {config.supernet}")
        run = config.as_run(tuple(task.name for task in model.task_list))
        found = read_data(run, data, model.categories)
        table = config.search
        scored = make_split(run, model, found.val if table.split == "val" else found.train, training=False)
        compared, unseen = drawn_images(len(scored.packed), table)
        splits: dict[Images, DataSplit] = {
            "compared": replace(scored, images=compared),
            "unseen": replace(scored, images=unseen),
        }
        return cls(model, splits, make_split(run, model, found.train, training=False), config, found.notes)

    @property
    def backbone(self) -> ElasticBackbone:
        """The elastic backbone."""
        return elastic(self.model.backbone, f"supernet {self.config.supernet}")

    @property
    def space(self) -> Space:
        """Shapes of candidates."""
        return self.backbone.space

    @property
    def unseen(self) -> int:
        """Images that are left for the end."""
        return len(self.splits["unseen"].images or ())

    def parameters(self, genome: Genome) -> int:
        """Count the weights of a candidate with its heads."""
        if genome not in self._counts:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                trunk = self.backbone.recipe.make(genome)
            whole, widest = (
                sum(weight.numel() for weight in module.parameters())
                for module in (self.model, self.backbone)
            )
            own = sum(weight.numel() for weight in trunk.parameters())
            self._counts[genome] = whole - widest + own
        return self._counts[genome]

    def candidate(self, genome: Genome) -> MultiTaskViT:
        """Return a candidate as an ordinary model, its batch norms calibrated."""
        model = cut_out(self.model, genome)
        calibrate(model, self._calibration())
        return model

    def score(self, genome: Genome, images: Images, stop: StopRequest | None = None) -> dict[str, float]:
        """Score a candidate.

        Args:
            genome: Its shape.
            images: Which images it is scored on.
            stop: Asked after every batch.

        Returns:
            Metrics by ``task/metric``.

        Raises:
            StopAsked: the search was asked to stop.
        """
        how = self.config.evaluation
        scored = evaluate_tasks(
            self.candidate(genome),
            self.splits[images],
            self.config.search.batch_size,
            stop=stop,
            engine=how.engine,
            max_dets=how.max_dets,
        )
        return metrics_of(scored)

    def time(self, genome: Genome) -> float:
        """Time the pass of one image, as ``mtvit profile`` does; the median in milliseconds."""
        table, before = self.config.search, torch.get_num_threads()
        torch.set_num_threads(table.pass_threads or usable_cores())
        try:
            return pass_latency(cut_out(self.model, genome), table.passes).p50
        finally:
            torch.set_num_threads(before)

    @property
    def machine(self) -> str:
        """What passes are timed on, in words."""
        if self.model.device.type == "cuda":
            return f"a {torch.cuda.get_device_name(self.model.device)}"
        threads = self.config.search.pass_threads or usable_cores()
        return f"a CPU ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"

    def _calibration(self) -> Iterator[tuple[View, UInt8[Tensor, "B 3 H W"]]]:
        """Yield batches of training images, drawn, the same for every candidate."""
        table = self.config.search
        for view in self.model.views:
            dataset = self.training.views[view]
            alike = view == "person" or isinstance(self.model.framing, Letterbox)
            size = table.batch_size if alike else 1
            order = np.random.default_rng([table.seed, _IMAGES_STREAM]).permutation(len(dataset)).tolist()
            keys = [(0, index) for index in order[: size * table.calibration]]
            for batch in load_batches(dataset, [keys[at : at + size] for at in range(0, len(keys), size)]):
                yield view, batch.images


def drawn_images(count: int, table: SearchTable) -> tuple[frozenset[int], frozenset[int]]:
    """Return the images that candidates are compared on, and those of the end.

    Args:
        count: Images of the split.
        table: Settings: how many are wanted.

    Raises:
        ConfigError: there is no image.
    """
    if not count:
        raise ConfigError(f"search.split is {table.split!r}, which has no image; take the other one.")
    order = np.random.default_rng([table.seed, _IMAGES_STREAM]).permutation(count).tolist()
    most = table.images or count
    return frozenset(order[:most]), frozenset(order[most : most + table.unseen])
