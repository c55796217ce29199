"""From settings to objects: data, backbone and tasks put together into what a run needs."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from mtvit_core.backbones.plain.vit import create_backbone
from mtvit_core.errors import ConfigError
from mtvit_core.inference.people import read_person_boxes
from mtvit_core.model.checkpoint import build, read_settings
from mtvit_core.model.multitask_vit import MultiTaskViT, View
from mtvit_core.plugins.registry import installed_tasks, make_part
from mtvit_core.plugins.registry import tasks as tasks_by_name
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing, Letterbox
from mtvit_train.build.warm_start import continued
from mtvit_train.config.run import ModelConfig, RunConfig
from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.samples.detected_persons import DetectedPersons
from mtvit_train.data.samples.images import ImageDataset
from mtvit_train.data.samples.persons import PersonDataset
from mtvit_train.scenes.writer import write_scenes

#: Weights that ship with the trainer: pre-trained on unlabelled scenes by ``mtvit-train pretrain``.
SCENES_WEIGHTS = "vit_scenes.safetensors"

AnyDataset = ImageDataset | PersonDataset | DetectedPersons


@dataclass(frozen=True)
class Split:
    """One split of the data, as each view of the model sees it.

    Attributes:
        packed: Its images and annotations.
        views: A data set for each view.
        mixtures: How samples of a view are drawn, where several data sets are trained on.
    """

    packed: PackedAnnotations
    views: dict[View, AnyDataset]
    mixtures: Mapping[View, Mixture] = field(default_factory=dict)


def task_names(config: RunConfig) -> tuple[str, ...]:
    """The tasks to train: those named, else every installed one.

    Raises:
        ConfigError: nothing is installed, or there are settings for a task that is not trained.
    """
    names = config.plugins or tuple(installed_tasks())
    if not names:
        raise ConfigError("plugins: no task is installed; install one, as in: pip install mtvit-det.")
    stray = sorted(set(config.tasks) - set(names) - set(installed_tasks()))
    if stray:
        raise ConfigError(
            f"config: tasks.{stray[0]} is not an installed task; this run trains {', '.join(names)}."
        )
    return names


def check_tasks(config: RunConfig) -> None:
    """Check the settings of all tasks, as far as that takes no data.

    Raises:
        PluginError: a task is not installed or broken.
        ConfigError: a setting is unknown or has a wrong value.
    """
    for name, cls in tasks_by_name(list(task_names(config))).items():
        read_settings(cls, config.tasks.get(name, {}))


def prepare_data(config: RunConfig, out: Path, check: Callable[[], None] = lambda: None) -> Path:
    """Return the data folder; generated scenes are written below the run folder first, where they are not.

    Of several data sets each has its own, and the run folder is returned.

    Args:
        config: Settings of the run.
        out: Run folder.
        check: Called after each scene.
    """
    if not isinstance(config.data, str):
        return out
    if config.data != "scenes":
        return Path(config.data)
    folder, scenes = out / "scenes", config.scenes
    if not (folder / "annotations").is_dir():  # they come last: without them the scenes are unfinished
        shutil.rmtree(folder, ignore_errors=True)
        write_scenes(
            folder,
            train=scenes.train,
            val=scenes.val,
            seed=scenes.seed,
            size=scenes.size,
            progress=lambda done, count: check(),
        )
    return folder


def make_model(config: RunConfig, categories: Categories, start: MultiTaskViT | None = None) -> MultiTaskViT:
    """Build the model on the CPU; fresh weights are drawn from the run's seed.

    Args:
        config: Settings.
        categories: Classes of the data.
        start: The model that ``model.start`` names, as ``read_start`` gives it; None: all heads are fresh.
    """
    torch.manual_seed(config.train.seed)
    table, names = config.model, task_names(config)
    if start is not None:
        model = continued(start, config, names, categories)
    else:
        backbone = create_backbone(table.backbone, table.image_size, weights_of(table), table.options)
        tasks: dict[str, Any] = {name: config.tasks.get(name, {}) for name in names}
        model = build(backbone, tasks, categories, person_canvas=table.person_size, queries=table.queries)
    model.backbone.checkpointing = config.train.checkpointing
    return model


def weights_of(table: ModelConfig) -> bool | Path:
    """Resolve ``model.pretrained`` to what the backbone builder takes."""
    if isinstance(table.pretrained, bool):
        return table.pretrained
    if table.pretrained == "scenes":
        return Path(str(files("mtvit_train") / "weights" / SCENES_WEIGHTS))
    return Path(table.pretrained)


def make_split(config: RunConfig, model: MultiTaskViT, packed: PackedAnnotations, *, training: bool) -> Split:
    """Build the data sets of one split for every view that the model's tasks ask for.

    Samples for evaluation carry no labels: evaluators are given the annotations of the original image.
    """
    augment: AugmentConfig = config.augment if training else NO_AUGMENT
    views: dict[View, AnyDataset] = {}
    mixtures: dict[View, Mixture] = {}
    cache, seed = config.train.cache_mb * 2**20, config.train.seed
    changes = make_transforms(config) if training else ()
    for view in model.views:
        needs = frozenset(kind for task in model.of_view(view) for kind in task.needs if training)
        person = view == "person"
        canvas: Framing = Letterbox(*model.canvases[view]) if person or training else model.framing
        taught = training and any(config.distill.teaches(task.name) for task in model.of_view(view))
        kind: Callable[..., ImageDataset | PersonDataset] = (
            partial(PersonDataset, crop=model.crop, taught=taught) if person else ImageDataset
        )
        dataset = kind(
            packed, canvas, needs=needs, augment=augment, seed=seed, cache_bytes=cache, transforms=changes
        )
        views[view] = dataset
        if training and len(packed.members) > 1:
            mixtures[view] = Mixture.of(dataset.sizes, _weights(config) or dataset.sizes)
    return Split(packed, views, mixtures)


def _weights(config: RunConfig) -> list[float]:
    """Weights of several data sets; empty where none has one."""
    assert not isinstance(config.data, str)
    return [table.weight for table in config.data if table.weight is not None]


def make_transforms(config: RunConfig) -> tuple[Transform[Any], ...]:
    """Make the transforms of plugins that the run names, in their order.

    Raises:
        PluginError: no plugin brings one of them.
        ConfigError: one of its settings is unknown or has a wrong value.
    """
    return tuple(make_part("transform", name, settings) for name, settings in config.transforms.items())


def with_boxes(split: Split, model: MultiTaskViT, boxes: Path) -> Split:
    """Return a split whose people are those of a file instead of the annotated ones.

    Args:
        split: The split.
        model: The model that looks at them.
        boxes: A predictions.json, or a COCO detection file; see ``mtvit_core.inference.people``.

    Raises:
        ConfigError: no task of the model looks at one person at a time.
        DataError: the file is missing or malformed, or holds nobody.
    """
    if "person" not in model.views:
        raise ConfigError(
            f"boxes {boxes}: no task of the model looks at one person at a time; leave --boxes out."
        )
    records = [split.packed.image(i) for i in range(len(split.packed))]
    ids = [record.image_id for record in records]
    people = read_person_boxes(boxes, [record.path for record in records], model.categories, ids)
    canvas = Letterbox(*model.canvases["person"])
    return Split(
        split.packed, {**split.views, "person": DetectedPersons(split.packed, canvas, people, model.crop)}
    )
