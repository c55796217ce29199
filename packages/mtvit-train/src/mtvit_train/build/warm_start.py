"""A run that starts from a model that is there: its backbone, and its heads of the tasks that are trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.add_tasks import with_tasks
from mtvit_core.model.categories.with_categories import with_categories
from mtvit_core.model.checkpoint import is_published, load, read_header
from mtvit_core.model.cut_out import cut_out
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import Categories
from mtvit_train.build.tasks import NO_CLASSES, settings_of
from mtvit_train.config.run import Heads, ModelConfig, RunConfig
from mtvit_train.data.merging.categories import UnknownCategoryError


def read_start(config: RunConfig, tasks: Sequence[str]) -> MultiTaskViT | None:
    """Read the model that ``model.start`` names, with those of its tasks that are trained; None where empty.

    Args:
        config: Settings.
        tasks: The tasks of the run.

    Raises:
        CheckpointError: there is no such model, or it cannot be read.
        PluginError: one of the tasks is not installed.
        ConfigError: a setting of ``[model]`` contradicts the model, or there is none whose heads it names; or
            it names a network that the model does not hold.
    """
    source, heads = config.model.start, config.model.heads
    if not source and heads != "keep":
        raise ConfigError(
            f"model.heads is {heads!r}, but there is no model whose heads it could mean; name one in "
            "model.start, or leave model.heads out."
        )
    if not source:
        return None
    held = None if is_published(source) else [n for n in read_header(source)["tasks"] if n in tasks]
    model = load(source, held)
    if heads == "fresh":
        model = _without_heads(model)
    _check_agrees(config.model, model)
    return cut_out(model, Genome.parse(config.model.genome)) if config.model.genome else model


def _without_heads(model: MultiTaskViT) -> MultiTaskViT:
    person, framing = model.canvases["person"], model.framing
    return MultiTaskViT(model.backbone, [], model.categories, person, framing)


def known_categories(
    start: MultiTaskViT | None, tasks: Sequence[str], heads: Heads = "keep"
) -> Categories | None:
    """Return the categories that data have to fit: those of the model, if it keeps any head as it is."""
    kept = [] if start is None else [task for task in start.task_list if task.name in tasks]
    return start.categories if start is not None and kept and heads == "keep" else None


@contextmanager
def telling_of_heads() -> Iterator[None]:
    """Say how a run goes on with categories that its model does not know.

    Raises:
        DataError: the data have such categories.
    """
    try:
        yield
    except UnknownCategoryError as error:
        raise DataError(
            f'{error} To train for the categories of the data, set model.heads = "by-name", which keeps what '
            'the model knows by name, or "fresh".'
        ) from error


def notes_of_heads(start: MultiTaskViT | None, config: ModelConfig, categories: Categories) -> list[str]:
    """Say which categories of the data the model knows by name, where that counts."""
    if start is None or config.heads != "by-name" or not start.task_list:
        return []
    known, wanted = [c.name for c in start.categories], [c.name for c in categories]
    kept, new = ([n for n in wanted if (n in known) is there] for there in (True, False))
    gone = [name for name in known if name not in wanted]
    sides = {"kept": kept, "fresh": new, "dropped": gone}
    listed = "; ".join(f"{side}: {_some(names)}" for side, names in sides.items())
    return [f"model.heads: categories of {config.start} by name, {listed}."]


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def continued(
    start: MultiTaskViT,
    config: RunConfig,
    tasks: Sequence[str],
    categories: Categories,
    classes: Mapping[str, Sequence[str]] = NO_CLASSES,
) -> MultiTaskViT:
    """Return the model of a run that starts from another one: tasks that this has keep their heads.

    Args:
        start: That model.
        config: Settings.
        tasks: The tasks of the run.
        categories: Classes of the data, which heads that are kept by name are to find.
        classes: Names of the classes of the data's dense labels, by label.

    Raises:
        ConfigError: a setting of a task does not fit its weights.
        PluginError: a task is not installed or broken.
    """
    if categories.items != start.categories.items:  # no head is kept as it is, else the data had been fitted
        kept: dict[str, dict[str, Any]] = {task.name: {} for task in start.task_list if task.name in tasks}
        start = with_categories(with_tasks(start, kept), categories)
    start.categories = categories  # it may have got classes of whole images, of which no head of it knew
    held = {task.name for task in start.task_list}
    fresh = settings_of(config, [name for name in tasks if name not in held], classes)
    settings = {name: fresh.get(name, config.tasks.get(name, {})) for name in tasks}
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
