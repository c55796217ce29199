"""A run that starts from a model that is there: its backbone, and its heads of the tasks that are trained."""

from collections.abc import Sequence

from mtvit_core.errors import ConfigError
from mtvit_core.model.add_tasks import with_tasks
from mtvit_core.model.checkpoint import is_published, load, read_header
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.config.run import ModelConfig, RunConfig


def read_start(config: RunConfig, tasks: Sequence[str]) -> MultiTaskViT | None:
    """Read the model that ``model.start`` names, with those of its tasks that are trained; None where empty.

    Args:
        config: Settings.
        tasks: The tasks of the run.

    Raises:
        CheckpointError: there is no such model, or it cannot be read.
        PluginError: one of the tasks is not installed.
        ConfigError: a setting of ``[model]`` contradicts the model.
    """
    source = config.model.start
    if not source:
        return None
    held = None if is_published(source) else [n for n in read_header(source)["tasks"] if n in tasks]
    model = load(source, held)
    _check_agrees(config.model, model)
    return model


def known_categories(start: MultiTaskViT | None, tasks: Sequence[str]) -> Categories | None:
    """Return the categories that data have to fit: those of the model, if it keeps any head."""
    kept = [] if start is None else [task for task in start.task_list if task.name in tasks]
    return start.categories if start is not None and kept else None


def continued(
    start: MultiTaskViT, config: RunConfig, tasks: Sequence[str], categories: Categories
) -> MultiTaskViT:
    """Return the model of a run that starts from another one: tasks that this has keep their heads.

    Raises:
        ConfigError: a setting of a task does not fit its weights.
        PluginError: a task is not installed or broken.
    """
    if categories.items != start.categories.items:  # no head is kept, else the data had been fitted to these
        person, framing = start.canvases["person"], start.framing
        start = MultiTaskViT(start.backbone, [], categories, person, framing)
    start.categories = categories  # it may have got classes of whole images, of which no head of it knew
    settings = {name: config.tasks.get(name, {}) for name in tasks}
    return with_tasks(start, settings, config.model.queries)


def _check_agrees(table: ModelConfig, model: MultiTaskViT) -> None:
    """Refuse settings that say something else than the model; defaults say nothing."""
    brought = {
        "backbone": model.backbone.name,
        "options": model.backbone.options,
        "pretrained": False,
        "image_size": model.canvases["image"],
        "person_size": model.canvases["person"],
    }
    if model.task_list:
        brought["queries"] = "task" if model.queries == "task" else "instance"
    given, default = table.model_dump(), ModelConfig().model_dump()
    for name, theirs in brought.items():
        if given[name] not in (default[name], theirs):
            raise ConfigError(
                f"model.start {table.start}: its {name} is {theirs!r}, but model.{name} is {given[name]!r}; "
                f"leave model.{name} out, for the model brings it."
            )
