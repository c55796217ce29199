"""Which tasks a run trains, and whether they can be."""

from mtvit_core.errors import ConfigError
from mtvit_core.model.assembly import read_settings
from mtvit_core.plugins.registry import installed_tasks
from mtvit_core.plugins.registry import tasks as tasks_by_name
from mtvit_train.config.run import RunConfig


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
