"""Other tasks for a model that is there: the same backbone and heads, and fresh ones beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtvit_core.arguments import require
from mtvit_core.errors import ConfigError
from mtvit_core.model.build import make_tasks
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.state_dicts import differences
from mtvit_core.tasks.instance_group import Queries


def add_tasks(model: MultiTaskViT, tasks: Sequence[str] | Mapping[str, Any]) -> MultiTaskViT:
    """Return a model with further tasks; it shares the weights of the one given.

    Isolated token groups change no answer of the present tasks, as long as the backbone stays as it is.

    Args:
        model: A model, such as a converted one.
        tasks: Names of installed tasks, or their settings by name.

    Raises:
        PluginError: a task is there already, not installed or broken.
        ConfigError: a setting is unknown or does not fit.
    """
    require("add_tasks: model", model, MultiTaskViT, "a model of mtvit")
    every = [*model.task_list, *make_tasks(tasks, model.categories)]
    person = model.canvases["person"]
    more = MultiTaskViT(model.backbone, every, model.categories, person, model.framing, model.queries)
    for task in model.task_list:
        more.tasks[task.name] = model.modules_of(task.name)
    _keep_shared(more, model)
    return more.train(model.training)


def with_tasks(
    model: MultiTaskViT, tasks: Mapping[str, Mapping[str, Any]], queries: Queries = "task"
) -> MultiTaskViT:
    """Return a model with these tasks: those that are there keep their weights, others are fresh.

    Args:
        model: A model, whose backbone the new one shares.
        tasks: Settings by name. Of a task that is there they change single settings, and the rest stays.
        queries: See ``MultiTaskViT``; of a model that has tasks, its own stay.

    Raises:
        PluginError: a task is not installed or broken.
        ConfigError: a setting is unknown, or the weights of a task do not fit its changed settings.
    """
    there = {task.name: task.config.model_dump(mode="json") for task in model.task_list}
    settings = {name: {**there.get(name, {}), **given} for name, given in tasks.items()}
    made, person = make_tasks(settings, model.categories), model.canvases["person"]
    kept = model.queries if model.task_list else queries
    changed = MultiTaskViT(model.backbone, made, model.categories, person, model.framing, kept)
    for name in there.keys() & settings.keys():
        weights = model.modules_of(name).state_dict()
        problems = differences(changed.modules_of(name).state_dict(), weights)
        if problems:
            given = ", ".join(f"{key} = {value!r}" for key, value in tasks[name].items())
            raise ConfigError(
                f"tasks.{name}: its weights do not fit the settings {given}: {problems}; leave them out."
            )
        changed.modules_of(name).load_state_dict(weights)
    _keep_shared(changed, model)
    return changed.train(model.training)


def _keep_shared(more: MultiTaskViT, model: MultiTaskViT) -> None:
    """Let a model that has the same decoders, or instance group, use their weights."""
    more.decoders.adopt(model.decoders)
    if more.instance_group is not None and model.instance_group is not None:
        more.instance_group.adopt(model.instance_group.source)
