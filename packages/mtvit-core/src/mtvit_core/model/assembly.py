"""From a task's class and settings to its weights, held to the contract on the way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from mtvit_core.backbones.interface import BackboneSpec, check_divides
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError, MtvitError, PluginError
from mtvit_core.plugins.origin import BrokenPlugin
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.instances import belongs
from mtvit_core.tasks.task import AnyTask, Task, TaskConfig


class BrokenTaskError(PluginError):
    """A task's own code fails while its parts are built.

    Attributes:
        cause: What happened.
        remedy: What fixes it.
    """

    def __init__(self, cls: type[AnyTask], cause: str, remedy: str) -> None:
        """Say which plugin the task is from."""
        from mtvit_core.plugins.registry import origin_of_task

        self.cause, self.remedy = cause, remedy
        report = BrokenPlugin(*origin_of_task(cls).fields, "build", cause, remedy, cls.name)
        super().__init__(f"tasks: {cls.name!r} is broken: {report}")


@contextmanager
def building(cls: type[AnyTask], part: str) -> Iterator[None]:
    """Turn what a task raises while one of its parts is built into one line; mtvit's own errors pass.

    Raises:
        BrokenTaskError: the task raised something else.
    """
    try:
        yield
    except MtvitError:
        raise
    except Exception as error:
        words = (
            " ".join(str(error).split()).partition(" For further information visit")[0].rstrip(".")
        )  # pydantic's
        cause = f"{part} raised {type(error).__name__}" + (f": {words}" if words else "")
        raise BrokenTaskError(cls, cause, "Leave the task out, or fix its plugin.") from error


def build_tokens(task: AnyTask, spec: BackboneSpec) -> tuple[TokenGroup, ...]:
    """Return the token groups of a task.

    Raises:
        BrokenTaskError: ``tokens`` raised, or returned something else than token groups.
        PluginError: a group does not belong to the task, or enters at no block of the backbone.
    """
    with building(type(task), "tokens"):
        groups = task.tokens(spec)
        if not isinstance(groups, Sequence) or not all(isinstance(group, TokenGroup) for group in groups):
            raise TypeError(f"its result {groups!r} is no sequence of TokenGroup")
    for group in groups:
        _check_group(task.name, group, spec)
    return tuple(groups)


def build_head(task: AnyTask, spec: BackboneSpec, groups: Sequence[TokenGroup]) -> nn.Module:
    """Return the head of a task.

    Raises:
        BrokenTaskError: ``head`` raised, or returned something else than a module.
        PluginError: it is to mask attention but cannot.
    """
    with building(type(task), "head"):
        head = task.head(spec)
        if not isinstance(head, nn.Module):
            raise TypeError(f"its result {head!r} is no torch.nn.Module")
    for group in groups:
        if group.masked and not isinstance(head, QueryMasker):
            raise PluginError(
                f"task {task.name!r}: token group {group.name!r} is masked, but {type(head).__name__} has no "
                "method query_mask; add it, or leave masked out."
            )
    return head


def _check_group(task: str, group: TokenGroup, spec: BackboneSpec) -> None:
    where = f"task {task!r}: token group {group.name!r}"
    if not belongs(group.name, task):
        raise PluginError(f"{where} strays from its task; name it {task!r} or '{task}-...'.")
    if not 0 <= group.enter < spec.depth:
        raise PluginError(
            f"{where} enters at block {group.enter}, but blocks run from 0 to {spec.depth - 1}."
        )
    bad = [layer for layer in group.layers if not group.enter <= layer <= spec.depth]
    if bad:
        raise PluginError(
            f"{where} is read at depth {bad[0]}; it exists from {group.enter} to {spec.depth} (the output)."
        )


def check_tasks(tasks: Sequence[AnyTask], person_canvas: tuple[int, int], spec: BackboneSpec) -> None:
    """Refuse tasks that do not go together, or not with a canvas of person crops.

    Raises:
        PluginError: two tasks have the same name, or one looks at something else than it declares.
        ConfigError: two tasks look at persons on different kinds of crops, or the patch does not fit theirs.
    """
    check_task_names(tasks)
    check_views(tasks)
    if any(task.view == "person" for task in tasks):
        check_crops(tasks)
        check_divides(person_canvas, spec.patch, "person canvas")


def check_views(tasks: Sequence[AnyTask]) -> None:
    """Refuse a task that looks at something else than it declares.

    Raises:
        PluginError: naming it.
    """
    for task in tasks:
        if task.view not in task.views:
            raise PluginError(
                f"task {task.name!r}: its view is {task.view!r}, but it declares "
                f"{', '.join(sorted(task.views))}; add the view to `views`."
            )


def check_task_names(tasks: Sequence[AnyTask]) -> None:
    """Refuse tasks of the same name.

    Raises:
        PluginError: naming it.
    """
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"model: task {name!r} is listed twice; name each task once.")


def check_crops(tasks: Sequence[AnyTask]) -> None:
    """Refuse tasks that look at persons on different kinds of crops.

    Raises:
        ConfigError: naming two of them.
    """
    rules = {task.crop: task.name for task in tasks if task.view == "person"}
    if len(rules) > 1:
        (first, one), (second, other), *_ = rules.items()
        raise ConfigError(
            f"model: task {one!r} looks at {first!r} crops and task {other!r} at {second!r} ones; a model "
            "cuts one kind of crops, so make two models."
        )


def check_group_names(owned: Sequence[tuple[str, str]]) -> None:
    """Refuse token groups of the same name.

    Args:
        owned: Name of the task, and of the group.

    Raises:
        PluginError: naming both tasks.
    """
    owners: dict[str, str] = {}
    for task, group in owned:
        if group in owners:
            raise PluginError(
                f"model: token group {group!r} is in task {owners[group]!r} and again in task {task!r}; "
                "give each its own name."
            )
        owners[group] = task


def check_weights(owned: Mapping[str, nn.Module]) -> None:
    """Refuse weights that two parts of a model share: training one would change the other.

    Args:
        owned: The backbone, and the modules of each task, by name.

    Raises:
        PluginError: naming both parts.
    """
    owners: dict[int, tuple[str, str]] = {}
    for name, module in owned.items():
        for key, value in [*module.named_parameters(), *module.named_buffers()]:
            first, first_key = owners.setdefault(id(value), (name, key))
            if first != name:
                raise PluginError(
                    f"task {name!r}: its weight {key!r} is also {first_key!r} of {first!r}; "
                    "a task owns its weights: build new ones in `head` and `tokens`."
                )


class TaskModules(nn.Module):
    """The weights of one task: its head, and the sources of its token groups."""

    def __init__(self, task: Task[Any, Any, Any], spec: BackboneSpec, joins: bool = False) -> None:
        """Build them.

        Args:
            task: The task.
            spec: What it may know about the backbone.
            joins: Whether it reads the queries of an instance group in place of its own.

        Raises:
            PluginError: a builder of the task raises or gives something else than it should, a group's name
                does not belong to the task, it enters at no block of the backbone, or its head is to mask
                attention but cannot.
        """
        super().__init__()
        self.groups = () if joins else build_tokens(task, spec)
        self.head = build_head(task, spec, self.groups)
        self.tokens = nn.ModuleDict({group.name: group.source for group in self.groups})


def make_task(
    cls: type[Task[Any, Any, Any]], settings: Mapping[str, Any], categories: Categories
) -> Task[Any, Any, Any]:
    """Make a task of its settings.

    Raises:
        PluginError: its own code raises.
        ConfigError: a setting is unknown or has a wrong value.
    """
    config = read_settings(cls, settings)
    with building(cls, "the task itself"):
        return cls(config, categories)


def read_settings(cls: type[Task[Any, Any, Any]], settings: Mapping[str, Any]) -> TaskConfig:
    """Return the settings of a task, checked.

    Raises:
        PluginError: its own code raises.
        ConfigError: a setting is unknown or has a wrong value.
    """
    with building(cls, "Config"):
        cls.Config.model_rebuild()  # says which type it lacks, whenever it is asked
        return validate(cls.Config, settings, f"tasks.{cls.name}")


def maskers_of(modules: Sequence[TaskModules]) -> dict[str, QueryMasker]:
    """Return the heads that supply attention masks, by the groups that are masked."""
    return {
        group.name: each.head
        for each in modules
        if isinstance(each.head, QueryMasker)
        for group in each.groups
        if group.masked
    }
