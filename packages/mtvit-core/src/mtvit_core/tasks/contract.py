"""What a task gives is held to the contract: parts that fit, names of its own, nothing else touched."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import MtvitError, PluginError
from mtvit_core.evaluation.details import Details
from mtvit_core.plugins.origin import BrokenPlugin
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances, belongs

if TYPE_CHECKING:
    from mtvit_core.tasks.task import BackboneSpec, Task

    AnyTask = Task[Any, Any, Any]

_TERM = re.compile(r"\w+")


class BrokenTaskError(PluginError):
    """A task's own code fails while its parts are built.

    Attributes:
        cause: What happened.
        remedy: What mends it.
    """

    def __init__(self, cls: "type[AnyTask]", cause: str, remedy: str) -> None:
        """Say which plugin the task is from."""
        from mtvit_core.plugins.registry import origin_of_task

        self.cause, self.remedy = cause, remedy
        report = BrokenPlugin(*origin_of_task(cls).fields, "build", cause, remedy, cls.name)
        super().__init__(f"tasks: {cls.name!r} is broken: {report}")


@contextmanager
def building(cls: "type[AnyTask]", part: str) -> Iterator[None]:
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
        raise BrokenTaskError(cls, cause, "Leave the task out, or mend its plugin.") from error


def build_tokens(task: "AnyTask", spec: "BackboneSpec") -> tuple[TokenGroup, ...]:
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


def build_head(task: "AnyTask", spec: "BackboneSpec", groups: Sequence[TokenGroup]) -> nn.Module:
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


def _check_group(task: str, group: TokenGroup, spec: "BackboneSpec") -> None:
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


def check_views(tasks: "Sequence[AnyTask]") -> None:
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
                f"model: token group {group!r} stands in task {owners[group]!r} and again in task {task!r}; "
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


@contextmanager
def reading(task: "AnyTask", features: Features) -> Iterator[Features]:
    """Show a head what its task says that it reads, and watch that it changes nothing: others read after it.

    Raises:
        PluginError: it read what the task denies, or changed one of the features in place.
    """
    last = features.last
    shared = {"patches": last.patches, "prefix": last.prefix, **last.queries}
    watched = (
        {} if torch.compiler.is_compiling() else {k: t for k, t in shared.items() if not t.is_inference()}
    )
    before = {name: tensor._version for name, tensor in watched.items()}
    yield features if task.reads_patches else features.queries_only(task.name)
    for name, tensor in watched.items():
        if tensor._version != before[name]:
            raise PluginError(
                f"task {task.name!r}: its head changed the features {name!r} in place, which other tasks "
                "read; work on a copy."
            )


def own_terms(task: "AnyTask", terms: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the loss terms of a task under its name, ``task/term``.

    Raises:
        PluginError: the name of a term is not one word, or its value no scalar.
    """
    for term, value in terms.items():
        if not (isinstance(term, str) and _TERM.fullmatch(term)):
            raise PluginError(
                f"task {task.name!r}: its loss has a term {term!r}; allowed: letters, digits and _, without "
                "the name of the task, which mtvit puts before it."
            )
        if not (isinstance(value, Tensor) and value.ndim == 0):
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise PluginError(f"task {task.name!r}: its loss {term!r} is {found}, not a scalar tensor.")
    return {f"{task.name}/{term}": value for term, value in terms.items()}


def own_metrics(task: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a task under its name, ``task/metric``.

    Raises:
        PluginError: the name of a metric holds a slash, or its value is no number.
    """
    for metric, value in metrics.items():
        if not isinstance(metric, str) or not metric or "/" in metric:
            raise PluginError(
                f"task {task!r}: its evaluator has a metric {metric!r}; allowed: a name without /, and "
                "without the name of the task, which mtvit puts before it."
            )
        if not isinstance(value, int | float):
            raise PluginError(f"task {task!r}: its metric {metric!r} is {value!r}, not a number.")
    return {f"{task}/{metric}": float(value) for metric, value in metrics.items()}


def own_details(task: str, details: Any) -> Details:
    """Return the details that an evaluator tells.

    Raises:
        PluginError: they are something else.
    """
    if not isinstance(details, Details):
        raise PluginError(
            f"task {task!r}: its evaluator's details are {details!r:.80}, not mtvit_core.Details; "
            "return such an object."
        )
    return details


def decode(
    task: "AnyTask", predictions: Any, metas: Sequence[ImageMeta], shares: bool = False
) -> list[Instances]:
    """Return the results of a task, one per image, all in its own name.

    Args:
        task: The task.
        predictions: Of its head.
        metas: One entry per image.
        shares: Whether its queries are those of an instance group; the results tell of no others.

    Raises:
        PluginError: there are more or fewer results than images, one speaks for another task, or a dense one
            is not of the size of its image.
    """
    results = task.decode(predictions, metas)
    if len(results) != len(metas):
        raise PluginError(
            f"task {task.name!r}: decode gave {len(results)} results for {len(metas)} images; "
            "give one per image."
        )
    strays = sorted({name for result in results for name in result.tasks} - {task.name})
    if strays:
        raise PluginError(
            f"task {task.name!r}: decode gave objects of task {strays[0]!r}; set `tasks` of its results "
            "to its own name."
        )
    for result in results:
        for name, values in result.maps.items():
            if not belongs(name, task.name):
                raise PluginError(
                    f"task {task.name!r}: decode gave a dense result {name!r}; name it {task.name!r} or "
                    f"'{task.name}-...'."
                )
            if tuple(values.shape) != (result.height, result.width):
                raise PluginError(
                    f"task {task.name!r}: its dense result {name!r} has shape {tuple(values.shape)}, its "
                    f"image "
                    f"{result.height} x {result.width} pixels; give one number per pixel of the original."
                )
    return results if shares else [replace(result, queries=()) for result in results]
