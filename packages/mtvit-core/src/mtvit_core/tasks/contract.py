"""What a task gives is held to the contract: parts that fit, names of its own, nothing else touched."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.backbones.features import Features
from mtvit_core.errors import DivergedError, PluginError
from mtvit_core.evaluation.details import Details
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import OnCanvas
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import belongs
from mtvit_core.structures.pixel_maps import CategoryMap, DenseMap
from mtvit_core.tasks.task import AnyTask

_TERM = re.compile(r"\w+")


@contextmanager
def reading(task: AnyTask, features: Features) -> Iterator[Features]:
    """Show a head what its task says that it reads, and watch that it changes nothing: others read after it.

    Raises:
        PluginError: it read what the task denies, or changed one of the features in place.
    """
    last = features.last
    shared = {"patches": last.patches, "prefix": last.prefix, **last.queries}
    if features.decoded is not None:
        shared["decoded"] = features.decoded
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


def own_terms(task: AnyTask, terms: Mapping[str, Any]) -> dict[str, Tensor]:
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
    task: AnyTask, predictions: Any, metas: Sequence[ImageMeta], shares: bool = False
) -> list[ImageResult]:
    """Return the results of a task, one per image, all in its own name.

    Args:
        task: The task.
        predictions: Of its head; or what it says on the canvas, from an exported model.
        metas: One entry per image.
        shares: Whether its queries are those of an instance group; the results tell of no others.

    Raises:
        PluginError: there are more or fewer results than images, one is no ``ImageResult`` or speaks for
            another task, or a map is not of the size of its image.
        DivergedError: a prediction is NaN or infinite, which no threshold is to hide.
    """
    _check_finite(task.name, predictions)
    on_canvas = isinstance(predictions, OnCanvas)
    results = (task.from_canvas if on_canvas else task.decode)(predictions, metas)
    if len(results) != len(metas):
        raise PluginError(
            f"task {task.name!r}: decode gave {len(results)} results for {len(metas)} images; "
            "give one per image."
        )
    for result in results:
        _check_result(task.name, result)
    if shares:
        return results
    return [replace(result, instances=replace(result.instances, queries=())) for result in results]


def _check_finite(task: str, predictions: Any) -> None:
    tensors = list(_floats(predictions, "predictions"))
    finite = [bool(value.isfinite().all()) for _, value in tensors]
    wild = [name for (name, _), fine in zip(tensors, finite, strict=True) if not fine]
    if wild:
        raise DivergedError(
            f"task {task!r}: its {wild[0]} are not finite, so the model has diverged, is damaged, or "
            "overflows in half precision; take an earlier checkpoint, or predict in float32."
        )


def _floats(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _floats(vars(value)[field.name], field.name)


def _check_result(task: str, result: Any) -> None:
    if not isinstance(result, ImageResult):
        raise PluginError(
            f"task {task!r}: decode gave a {type(result).__name__}; give a mtvit_core.ImageResult per image, "
            "as ImageResult(instances)."
        )
    strays = sorted(set(result.tasks) - {task})
    if strays:
        raise PluginError(
            f"task {task!r}: decode gave objects of task {strays[0]!r}; set `tasks` of its results "
            "to its own name."
        )
    odd = [score for score in result.scores.tolist() if not 0 <= score <= 1]
    if odd:
        raise PluginError(
            f"task {task!r}: decode gave an object with the score {odd[0]:.3g}; give probabilities in [0, "
            "1], not logits."
        )
    for name in result.labels:
        if name != task:
            raise PluginError(f"task {task!r}: decode gave labels {name!r} of the image; name them {task!r}.")
    for name, values in result.maps.items():
        _check_map(task, name, values, (result.height, result.width))


def _check_map(task: str, name: str, values: Any, size: tuple[int, int]) -> None:
    if not belongs(name, task):
        raise PluginError(f"task {task!r}: decode gave a map {name!r}; name it {task!r} or '{task}-...'.")
    found: tuple[int, ...]
    wanted: tuple[int, ...]
    if isinstance(values, DenseMap):
        found, wanted = tuple(values.values.shape), (len(values.channels), *size)
    elif isinstance(values, CategoryMap):
        found, wanted = tuple(values.category_ids.shape), size
    else:
        raise PluginError(
            f"task {task!r}: its map {name!r} is a {type(values).__name__}; give a mtvit_core.DenseMap or "
            "CategoryMap."
        )
    if found != wanted:
        raise PluginError(
            f"task {task!r}: its map {name!r} has shape {found}, its channels and image make {wanted}; "
            "resize it to the original, as with `meta.masks_to_original`."
        )
