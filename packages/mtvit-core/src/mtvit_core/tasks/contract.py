"""What a task gives is held to the contract: parts that fit, names of its own, nothing else touched."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mtvit_core.backbones.features import Features
from mtvit_core.errors import PluginError
from mtvit_core.evaluation.details import Details
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances, belongs

if TYPE_CHECKING:
    from mtvit_core.tasks.task import Task

    AnyTask = Task[Any, Any, Any]

_TERM = re.compile(r"\w+")


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
