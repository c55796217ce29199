"""The splits of a run: its annotations as each view of the model sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mtvit_core.errors import ConfigError
from mtvit_core.inference.people import read_person_boxes
from mtvit_core.inference.predictor import Predictor
from mtvit_core.plugins.registry import make_extension
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import Framing, Letterbox
from mtvit_core.tasks.task import View
from mtvit_train.config.run import RunConfig
from mtvit_train.data.loading.mixture import Mixture
from mtvit_train.data.merging.map_classes import fit_map_classes
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.samples.cached import CachedSamples
from mtvit_train.data.samples.detected_persons import DetectedPersons
from mtvit_train.data.samples.images import ImageDataset, Sample, collate
from mtvit_train.data.samples.pairs.mixing import check_mixing
from mtvit_train.data.samples.persons import PersonDataset

AnyDataset = ImageDataset | PersonDataset | DetectedPersons | CachedSamples


@dataclass(frozen=True)
class DataSplit:
    """One split of the data, as each view of the model sees it.

    Attributes:
        packed: Its images and annotations.
        views: A data set for each view.
        mixtures: How samples of a view are drawn, where several data sets are trained on.
        images: Places of the images that an evaluation scores; None: all.
    """

    packed: PackedAnnotations
    views: dict[View, AnyDataset]
    mixtures: Mapping[View, Mixture] = field(default_factory=dict)
    images: frozenset[int] | None = None

    def scores(self, image: int) -> bool:
        """Tell whether an evaluation scores an image."""
        return self.images is None or image in self.images

    @property
    def collate(self) -> Callable[[Sequence[Sample]], Batch]:
        """Puts samples together."""
        return collate


def make_split(
    config: RunConfig, model: Predictor, packed: PackedAnnotations, *, training: bool
) -> DataSplit:
    """Build the data sets of one split for every view that the model's tasks ask for.

    Samples for evaluation carry no labels: evaluators are given the annotations of the original image.

    Raises:
        DataError: an evaluator reads segments, and their files are missing or malformed; or a dense label has
            a class that the model does not know.
    """
    augment: AugmentConfig = config.augment if training else NO_AUGMENT
    known = {label: names for task in model.task_list for label, names in task.map_classes.items()}
    packed = fit_map_classes(packed, known)
    if not training and any("segments" in task.evaluator().reads for task in model.task_list):
        packed.check_segments()
    views: dict[View, AnyDataset] = {}
    mixtures: dict[View, Mixture] = {}
    cache, seed = config.train.cache_mb * 2**20, config.train.seed
    changes = make_transforms(config) if training else ()
    for view in model.views:
        needs = frozenset(kind for task in model.of_view(view) for kind in task.needs if training)
        person = view == "person"
        if training and not person:
            check_mixing(augment, needs)
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
    return DataSplit(packed, views, mixtures)


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
    return tuple(make_extension("transform", name, settings) for name, settings in config.transforms.items())


def with_boxes(split: DataSplit, model: Predictor, boxes: Path) -> DataSplit:
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
    people_seen = DetectedPersons(split.packed, canvas, people, model.crop)
    return replace(split, views={**split.views, "person": people_seen})
