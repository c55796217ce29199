"""The model that a run's settings describe."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import torch

from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.interface import Backbone
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.build.tasks import NO_CLASSES, settings_of, task_names
from mtvit_train.build.warm_start import continued
from mtvit_train.config.run import ModelConfig, RunConfig

#: Weights that ship with the trainer: pre-trained on unlabelled scenes by ``mtvit-train pretrain``.
SCENES_WEIGHTS = "vit_scenes.safetensors"


def make_model(
    config: RunConfig,
    categories: Categories,
    start: MultiTaskViT | None = None,
    classes: Mapping[str, Sequence[str]] = NO_CLASSES,
) -> MultiTaskViT:
    """Build the model on the CPU; fresh weights are drawn from the run's seed.

    Args:
        config: Settings.
        categories: Classes of the data.
        start: The model that ``model.start`` names, as ``read_start`` gives it; None: all heads are fresh.
        classes: Names of the classes of the data's dense labels, by label.
    """
    torch.manual_seed(config.train.seed)
    table, names = config.model, task_names(config)
    if start is not None:
        model = continued(start, config, names, categories, classes)
    else:
        backbone = create_backbone(table.backbone, table.image_size, weights_of(table), table.options)
        backbone = backbone if not table.genome else _network(backbone, table)
        tasks = settings_of(config, names, classes)
        model = build(backbone, tasks, categories, person_canvas=table.person_size, queries=table.queries)
    model.backbone.checkpointing = config.train.checkpointing
    return model


def _network(backbone: Backbone, table: ModelConfig) -> Backbone:
    """One network of a supernet, with weights of its own; those that were read are inherited."""
    genome = Genome.parse(table.genome)
    found = elastic(backbone, f"model.genome {table.genome!r}")
    if table.pretrained:
        return found.cut_out(genome)
    found.space.check(genome)
    return found.recipe.make(genome)


def weights_of(table: ModelConfig) -> bool | Path:
    """Resolve ``model.pretrained`` to what the backbone builder takes."""
    if isinstance(table.pretrained, bool):
        return table.pretrained
    if table.pretrained == "scenes":
        return Path(str(files("mtvit_train") / "weights" / SCENES_WEIGHTS))
    return Path(table.pretrained)


def as_built(config: RunConfig, model: MultiTaskViT) -> RunConfig:
    """Return settings that name the tasks of a model, and all that was taken from the data for them."""
    tasks = {task.name: task.config.model_dump(mode="json") for task in model.task_list}
    return config.model_copy(update={"plugins": tuple(tasks), "tasks": {**config.tasks, **tasks}})
