"""From the bytes of an image to the JSON of its answer."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import torch

from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.predict import predict_stream
from mtvit_core.results.image_result import ImageResult
from mtvit_core.serving.served import Served
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.image_files import decode_image
from mtvit_core.structures.pixel_maps import DenseMap, PixelMap


@dataclass(frozen=True)
class Question:
    """What a request asks.

    Attributes:
        image: The bytes of an image file.
        min_score: Leave out objects and labels below this score.
        categories: Names of the objects to answer with; empty for all.
        maps: Whether to answer with pictures of maps.
    """

    image: bytes
    min_score: float
    categories: tuple[str, ...]
    maps: bool


@dataclass(frozen=True)
class Answer:
    """An answer on its way.

    Attributes:
        body: Its JSON.
        seconds: How long each stage took: ``queue``, ``decode``, ``model``, ``encode``.
        objects: Number of objects in it.
    """

    body: bytes
    seconds: Mapping[str, float]
    objects: int


def answer(served: Served, question: Question, asked: float) -> Answer:
    """Say what the model finds in an image.

    Args:
        served: The model.
        question: The image, and what is wanted of it.
        asked: ``time.perf_counter`` when the request had been read.

    Raises:
        DataError: the image cannot be read, or a category is unknown.
        DivergedError: the model's predictions are not finite.
    """
    times = [asked, time.perf_counter()]
    labels = chosen_labels(question.categories, served.model.categories)
    image = decode_image(BytesIO(question.image), "image", served.limits.pixels)
    times.append(time.perf_counter())
    options = PredictOptions(min_score=question.min_score)
    (found,) = predict_stream(served.model, [image], options=options)
    if labels is not None:
        found = replace(found, instances=found[torch.isin(found.instances.labels, torch.tensor(labels))])
    times.append(time.perf_counter())
    told = found.to_json()
    del told["file_name"], told["image_id"]
    if question.maps:
        _add_pictures(told, found)
    times.append(time.perf_counter())
    stages = ("queue", "decode", "model", "encode")
    seconds = {stage: end - start for stage, start, end in zip(stages, times, times[1:], strict=False)}
    told["milliseconds"] = {stage: round(1e3 * value, 2) for stage, value in seconds.items()}
    told["device"] = served.device
    return Answer(json.dumps(told, allow_nan=False).encode(), seconds, len(found))


def chosen_labels(names: tuple[str, ...], categories: Categories) -> list[int] | None:
    """Return labels of the categories of these names; None where none is named.

    Raises:
        DataError: a name is unknown.
    """
    known = [category.name for category in categories]
    for name in names:
        if name not in known:
            raise DataError(
                f"category {name!r:.80}: the model does not know it.{did_you_mean(name, known)} "
                "GET /model lists its categories."
            )
    return [label for label, name in enumerate(known) if name in names] if names else None


def _add_pictures(told: dict[str, Any], found: ImageResult) -> None:
    for name, values in found.maps.items():
        told["maps"][name] |= {"png": _png(values), "range": _range(values)}


def _png(values: PixelMap) -> str:
    """A flat picture of a map as base64."""
    file = BytesIO()
    draw_map(values).save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _range(values: PixelMap) -> list[float] | None:
    """Least and largest known number of a map of one channel."""
    if not isinstance(values, DenseMap) or len(values.channels) != 1:
        return None
    known = values.values[values.values.isfinite()]
    return [float(known.min()), float(known.max())] if known.numel() else None
