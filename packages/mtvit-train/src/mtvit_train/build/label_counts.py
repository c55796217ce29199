"""What each task gets to see of the training data: labelled images and objects, by data set."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import DataSplit
from mtvit_train.config.run import RunConfig
from mtvit_train.data.coverage import coverage
from mtvit_train.data.samples.detected_persons import DetectedPersons
from mtvit_train.data.samples.persons import PersonDataset


@dataclass(frozen=True)
class Exposure:
    """What a run shows a task of one data set.

    Attributes:
        task: The task.
        data: Name of the data set.
        images: Its images.
        labelled: Those that carry what the task needs.
        objects: Objects on these that count for the task.
        share: Share of the samples of a run that are of this data set.
        samples: Samples of the run, images or crops, that are of it and labelled for the task.
        objects_seen: Objects that these samples show, as often as they are shown; before augmentation.
    """

    task: str
    data: str
    images: int
    labelled: int
    objects: int
    share: float
    samples: int
    objects_seen: int


def exposures(config: RunConfig, model: MultiTaskViT, split: DataSplit) -> list[Exposure]:
    """Count what every task sees, for each data set.

    Args:
        config: How many steps and samples.
        model: The tasks.
        split: The training data.

    Raises:
        ConfigError: nothing is labelled for a task.
    """
    members, found = split.packed.members, []
    total = config.train.steps * config.train.batch_size
    for task in model.task_list:
        dataset, mixture = split.views[task.view], split.mixtures.get(task.view)
        assert not isinstance(dataset, DetectedPersons)
        drawn = (total,) if mixture is None else mixture.drawn(total, config.train.seed)
        known = coverage(split.packed, task.needs)
        if not any(one.images for one in known):
            raise ConfigError(
                f"task {task.name!r}: no training image is labelled for it; it needs "
                f"{', '.join(sorted(task.needs))}. Add such data, or leave the task out of plugins."
            )
        images = split.packed.sizes_of_members
        shown = (
            [(crops, crops) for crops in dataset.labelled_sizes]  # each shows one person
            if isinstance(dataset, PersonDataset)
            else [(one.images, one.instances) for one in known]
        )
        for member, size, number, one, (labelled, objects), taken in zip(
            members, images, dataset.sizes, known, shown, drawn, strict=True
        ):
            found.append(
                Exposure(
                    task=task.name,
                    data=member.name,
                    images=size,
                    labelled=one.images,
                    objects=one.instances,
                    share=taken / total,
                    samples=round(taken * labelled / max(1, number)),
                    objects_seen=round(taken * objects / max(1, number)),
                )
            )
    return found


def show_exposures(seen: Sequence[Exposure], notes: Sequence[str], console: Console) -> None:
    """Print a row for every task and data set, and what was changed to make several data sets one."""
    table = Table(
        "task", "data", "labelled images", "objects", "share of the run", "images seen", "objects seen"
    )
    for column in table.columns[2:]:
        column.justify = "right"
    for one in seen:
        labelled, share = f"{one.labelled} of {one.images}", f"{one.share:.1%}"
        counts = (labelled, one.objects, share, one.samples, one.objects_seen)
        table.add_row(one.task, one.data, *map(str, counts))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
