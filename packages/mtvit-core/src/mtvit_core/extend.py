"""Further tasks for a model that is there: the same trunk and heads, and fresh ones beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtvit_core.checkpoint import make_tasks
from mtvit_core.model import MultiTaskViT


def add_tasks(model: MultiTaskViT, tasks: Sequence[str] | Mapping[str, Any]) -> MultiTaskViT:
    """Return a model with further tasks; it shares the weights of the one given.

    Isolated token groups change no answer of the tasks that are there, as long as the trunk stays as it is.

    Args:
        model: A model, such as a converted one.
        tasks: Names of installed tasks, or their settings by name.

    Raises:
        PluginError: a task is there already, not installed or broken.
        ConfigError: a setting is unknown or does not fit.
    """
    every = [*model.task_list, *make_tasks(tasks, model.categories)]
    person = model.canvases["person"]
    more = MultiTaskViT(model.backbone, every, model.categories, person, model.framing)
    for task in model.task_list:
        more.tasks[task.name] = model.modules_of(task.name)
    return more.train(model.training)
