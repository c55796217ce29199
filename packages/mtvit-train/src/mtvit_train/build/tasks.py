"""Which tasks a run trains, and whether they can be."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.coco_engines import MAX_RESULTS
from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.model.assembly import read_settings
from mtvit_core.plugins.registry import installed_tasks
from mtvit_core.plugins.registry import tasks as tasks_by_name
from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_train.config.run import RunConfig
from mtvit_train.data.coverage import labelled_objects
from mtvit_train.data.packed import PackedAnnotations

#: No dense label has classes.
NO_CLASSES: Mapping[str, Sequence[str]] = MappingProxyType({})


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


def settings_of(
    config: RunConfig, names: Sequence[str], classes: Mapping[str, Sequence[str]]
) -> dict[str, Mapping[str, Any]]:
    """Return the settings of tasks, with what the data say of their labels.

    Args:
        config: Settings of the run.
        names: The tasks.
        classes: Names of the classes of dense labels, by label.
    """
    return {
        name: cls.settings_for(config.tasks.get(name, {}), classes)
        for name, cls in tasks_by_name(list(names)).items()
    }


def with_labelled_tasks(config: RunConfig, packed: PackedAnnotations) -> tuple[RunConfig, tuple[str, ...]]:
    """Name the tasks of a run that names none: those installed, without those whose dense label is missing.

    Args:
        config: Settings of the run.
        packed: The training data.

    Returns:
        Settings that name them, and what is left out, a line each.
    """
    if config.plugins:
        return config, ()
    dense = {name for member in packed.members for name in member.maps}
    kept, notes = [], []
    for name in task_names(config):
        lacking = sorted(installed_tasks()[name].cls.needs - {*LABEL_KINDS} - dense)
        if lacking:
            notes.append(f"task {name} is left out: the data have no dense label {lacking[0]!r}.")
        else:
            kept.append(name)
    return config.model_copy(update={"plugins": tuple(kept)}), tuple(notes)


def check_tasks(config: RunConfig) -> None:
    """Check the settings of all tasks, as far as that takes no data.

    Raises:
        PluginError: a task is not installed or broken.
        ConfigError: a setting is unknown or has a wrong value.
    """
    for name, cls in tasks_by_name(list(task_names(config))).items():
        read_settings(cls, config.tasks.get(name, {}))


def most_objects(config: RunConfig) -> dict[str, int]:
    """Return how many objects of an image each task can find and have counted, for tasks that say so.

    Queries, the results that are kept, and the results that the evaluation counts, whichever are fewest.
    """
    found = {}
    for name, cls in tasks_by_name(list(task_names(config))).items():
        settings = read_settings(cls, config.tasks.get(name, {})).model_dump()
        caps = [settings[key] for key in ("queries", "top_k") if isinstance(settings.get(key), int)]
        if caps:
            kind: IouType = "keypoints" if "keypoints" in cls.needs else "bbox"
            returned = settings.get("top_k", 0) if kind == "bbox" else 0
            counted = config.evaluation.max_dets or max(MAX_RESULTS[kind], returned)
            found[name] = min(*caps, counted)
    return found


def notes_of_crowding(config: RunConfig, packed: PackedAnnotations, where: str) -> list[str]:
    """Say which tasks meet images with more objects than they can find or have counted."""
    notes = []
    for name, most in most_objects(config).items():
        counts = labelled_objects(packed, installed_tasks()[name].cls.needs)
        over = int((counts > most).sum())
        if over:
            notes.append(
                f"{where}: {over} images hold more objects than the {most} that task {name} finds and has "
                f"counted, up to {counts.max()}. Raise tasks.{name}.queries, tasks.{name}.top_k and "
                "evaluation.max_dets, or cut the images into tiles."
            )
    return notes
