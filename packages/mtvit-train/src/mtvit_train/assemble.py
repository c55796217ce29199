"""From settings to objects: data, backbone and tasks put together into what a run needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch

from mtvit_core.backbone import create_backbone
from mtvit_core.categories import Categories
from mtvit_core.checkpoint import build
from mtvit_core.errors import ConfigError
from mtvit_core.geometry import Framing, Letterbox
from mtvit_core.model import MultiTaskViT, View
from mtvit_core.person_boxes import read_person_boxes
from mtvit_core.plugins import installed_tasks, make_part
from mtvit_core.transform import Transform
from mtvit_train.config import ModelConfig, RunConfig
from mtvit_train.data.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.coco import read_coco
from mtvit_train.data.dataset import ImageDataset
from mtvit_train.data.detected import DetectedPersons
from mtvit_train.data.faults import STOP, Faults
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.packing import read_with
from mtvit_train.data.persons import PersonDataset
from mtvit_train.scenes import write_scenes

#: Weights that ship with the trainer: pre-trained on unlabelled scenes by ``mtvit-train pretrain``.
SCENES_WEIGHTS = "vit_scenes.safetensors"

AnyDataset = ImageDataset | PersonDataset | DetectedPersons


@dataclass(frozen=True)
class Split:
    """One split of the data, as each view of the model sees it.

    Attributes:
        packed: Its images and annotations.
        views: A data set for each view.
    """

    packed: PackedAnnotations
    views: dict[View, AnyDataset]


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


def prepare_data(config: RunConfig, out: Path) -> Path:
    """Return the data folder; generated scenes are written below the run folder first."""
    if config.data != "scenes":
        return Path(config.data)
    folder, scenes = out / "scenes", config.scenes
    write_scenes(folder, train=scenes.train, val=scenes.val, seed=scenes.seed, size=scenes.size)
    return folder


def make_model(config: RunConfig, categories: Categories) -> MultiTaskViT:
    """Build the model with fresh heads on the CPU; the weights are drawn from the run's seed."""
    torch.manual_seed(config.train.seed)
    table = config.model
    backbone = create_backbone(table.backbone, table.image_size, weights_of(table), table.options)
    backbone.checkpointing = config.train.checkpointing
    tasks: dict[str, Any] = {name: config.tasks.get(name, {}) for name in task_names(config)}
    return build(backbone, tasks, categories, person_canvas=table.person_size)


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
    cache, seed = config.train.cache_mb * 2**20, config.train.seed
    changes = make_transforms(config) if training else ()
    for view in model.views:
        needs = frozenset(kind for task in model.of_view(view) for kind in task.needs if training)
        person = view == "person"
        canvas: Framing = Letterbox(*model.canvases[view]) if person or training else model.framing
        kind: Callable[..., AnyDataset] = partial(PersonDataset, crop=model.crop) if person else ImageDataset
        views[view] = kind(
            packed, canvas, needs=needs, augment=augment, seed=seed, cache_bytes=cache, transforms=changes
        )
    return Split(packed, views)


def make_transforms(config: RunConfig) -> tuple[Transform[Any], ...]:
    """Make the transforms of plugins that the run names, in their order.

    Raises:
        PluginError: no plugin brings one of them.
        ConfigError: one of its settings is unknown or has a wrong value.
    """
    return tuple(make_part("transform", name, settings) for name, settings in config.transforms.items())


def read_split(
    config: RunConfig, root: Path, split: Literal["train", "val"], faults: Faults = STOP
) -> PackedAnnotations:
    """Read one split with the reader that the run names.

    Args:
        config: Settings.
        root: The data folder.
        split: Which split.
        faults: What to do at what is malformed.

    Raises:
        ConfigError: generated scenes are to be read by another reader than COCO's.
        PluginError: no plugin brings the reader.
        DataError: a file is missing or malformed.
    """
    if config.reader == "coco":
        return read_coco(root, split, config.coco, faults=faults)
    if config.data == "scenes":
        raise ConfigError(
            f"reader {config.reader!r}: scenes are in COCO's layout; name a folder with --data."
        )
    reader = make_part("reader", config.reader, config.readers.get(config.reader, {}))
    return read_with(reader, root, split, faults)


def with_boxes(split: Split, model: MultiTaskViT, boxes: Path) -> Split:
    """Return a split whose people are those of a file instead of the annotated ones.

    Args:
        split: The split.
        model: The model that looks at them.
        boxes: A predictions.json, or a COCO detection file; see ``mtvit_core.person_boxes``.

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


def read_splits(config: RunConfig, root: Path) -> tuple[PackedAnnotations, PackedAnnotations]:
    """Read the training and the validation annotations.

    Raises:
        ConfigError: the two splits do not have the same categories.
        DataError: a file is missing or malformed.
    """
    train, val = read_split(config, root, "train"), read_split(config, root, "val")
    if train.categories != val.categories:
        raise ConfigError(
            f"data {root}: the train and val annotations list different categories; make them equal."
        )
    return train, val
