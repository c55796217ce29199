"""From images of any kind to results: read, letterbox, run in batches, decode, join, link."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.arguments import require
from mtvit_core.errors import ShapeError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.people import people_of, posed_names
from mtvit_core.inference.predictor import Predictor
from mtvit_core.inference.results import results_of
from mtvit_core.results.image_result import ImageResult, merged
from mtvit_core.results.linking import link
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.canvases.crops import crop_person, person_meta
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_inputs import (
    Boxes,
    ImageBoxes,
    ImageLike,
    Images,
    Named,
    image_items,
    read_boxes,
    read_input,
)


def predict(
    model: Predictor,
    images: Images,
    boxes: Boxes | None = None,
    options: PredictOptions | None = None,
) -> list[ImageResult]:
    """Say what a model finds in images.

    Args:
        model: A model, whose mode is restored afterwards, or an exported program.
        images: One image or many, of any sizes: paths, a folder, PIL images, uint8 tensors 3 x H x W or a
            batch of them, uint8 arrays H x W x 3, bytes of image files, files open in binary mode.
        boxes: People of each image for top-down tasks, M x 4: xyxy in original pixels, or M x 5: with scores,
            as tensors, arrays or lists. Without them, people are taken from the model's own task that finds
            boxes; where it has none, the whole image is one person.
        options: How results are made.

    Returns:
        One ``ImageResult`` per image, in order; its objects are those of each task in turn, without those
        that have joined an earlier one.

    Raises:
        ShapeError: an image or boxes are of another kind, type or shape, or boxes and images differ in
            number.
        DataError: a file cannot be read as an image.
    """
    if boxes is None:
        return list(predict_stream(model, images, None, options))
    items, people = list(image_items(images)), _listed(boxes)
    if len(people) != len(items):
        raise ShapeError(
            f"predict: {len(people)} lists of boxes for {len(items)} images; give one per image."
        )
    return list(predict_stream(model, items, [read_boxes(own) for own in people], options))


def predict_stream(
    model: Predictor,
    images: Images,
    boxes: Boxes | None = None,
    options: PredictOptions | None = None,
) -> Iterator[ImageResult]:
    """Yield what ``predict`` returns, holding the images of one pass at a time.

    Args:
        model: As for ``predict``.
        images: As for ``predict``, however many; an iterator is read one pass at a time.
        boxes: People of each image; None as for ``predict``.
        options: How results are made.

    Raises:
        ShapeError: as ``predict``, when the image is reached.
        DataError: likewise.
    """
    options = PredictOptions() if options is None else options
    require("predict: options", options, PredictOptions, "mtvit_core.PredictOptions(...)")
    apart = [task.name for task in model.task_list if not task.linkable]
    pairs = _paired(image_items(images), boxes)
    while chunk := list(islice(pairs, options.batch_size)):
        named = [read_input(image, options.bgr) for image, _ in chunk]
        people = None if boxes is None else [read_boxes(own) for _, own in chunk]
        with model.answering():
            found = _predict_chunk(model, named, people, options)
        yield from (_finished(result, options, apart) for result in found)


def _finished(result: ImageResult, options: PredictOptions, apart: Collection[str]) -> ImageResult:
    """Leave out what is not sure enough, and link."""
    if not options.link:
        return result.above(options.min_score)
    least = options.min_score if options.part_score is None else options.part_score
    kept = result.above(min(least, options.min_score))
    linked = replace(kept, instances=link(kept.instances, options.min_link, apart))
    return linked if least >= options.min_score else linked.above(options.min_score)


def _listed(boxes: Boxes) -> list[ImageBoxes]:
    _check_boxes(boxes)
    return list(boxes)


def _check_boxes(boxes: object) -> None:
    single = isinstance(boxes, Tensor | np.ndarray) and boxes.ndim == 0
    if single or isinstance(boxes, str | bytes | Mapping) or not isinstance(boxes, Iterable):
        raise ShapeError(
            f"predict: boxes is a {type(boxes).__name__}; give one list of boxes per image, each M x 4 or "
            "M x 5."
        )


def _paired(images: Iterable[ImageLike], boxes: Boxes | None) -> Iterator[tuple[ImageLike, Any]]:
    """Images with their boxes, None where there are none at all."""
    if boxes is None:
        yield from ((image, None) for image in images)
        return
    lacking = object()
    _check_boxes(boxes)
    pairs: Iterable[Any] = zip_longest(images, boxes, fillvalue=lacking)
    for i, (image, people) in enumerate(pairs):
        if image is lacking or people is lacking:
            what = "image" if image is lacking else "list of boxes"
            raise ShapeError(f"predict: there is no {what} number {i + 1}; give one list of boxes per image.")
        yield image, people


def _predict_chunk(
    model: Predictor, chunk: list[Named], boxes: Sequence[Tensor] | None, options: PredictOptions
) -> list[ImageResult]:
    """Results of all tasks, one per image; inside, images are told apart by their place in the chunk."""
    metas = [
        model.framing.meta(image.shape[-2], image.shape[-1], image_id=i, file_name=name)
        for i, (image, name) in enumerate(chunk)
    ]
    found: dict[str, dict[int, ImageResult]] = {}
    if model.of_view("image"):
        found |= _by_image(results_of(model, "image", _canvases(model, chunk, metas)))
    if model.of_view("person"):
        people = _people(model, found, len(chunk), options.person_score) if boxes is None else boxes
        crops = _crops(model, chunk, people, options.batch_size)
        found |= _by_image(results_of(model, "person", crops))
    results = []
    for i, at in enumerate(metas):
        parts = [of_task[i] for of_task in found.values() if i in of_task]
        result = merged(parts or [ImageResult.empty(at, model.categories)])
        results.append(result.named(0, at.file_name))
    return results


def _by_image(batches: Iterable[Mapping[str, list[ImageResult]]]) -> dict[str, dict[int, ImageResult]]:
    found: dict[str, dict[int, ImageResult]] = {}
    for batch in batches:
        for name, results in batch.items():
            found.setdefault(name, {}).update({result.image_id: result for result in results})
    return found


def _canvases(model: Predictor, chunk: list[Named], metas: list[ImageMeta]) -> Iterator[Batch]:
    """Whole images; canvases of one size make a batch."""
    canvases = [model.framing.apply(image) for image, _ in chunk]
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, canvas in enumerate(canvases):
        groups.setdefault(tuple(canvas.shape), []).append(i)
    for rows in groups.values():
        yield Batch(torch.stack([canvases[i] for i in rows]), (), tuple(metas[i] for i in rows))


def _crops(
    model: Predictor, chunk: list[Named], boxes: Sequence[Tensor | None], batch_size: int
) -> Iterator[Batch]:
    """Crops of the people of every image, in batches."""
    canvas = model.canvases["person"]
    places = (
        replace(
            person_meta(
                (x0, y0, x1, y1), int(image.shape[-2]), int(image.shape[-1]), canvas, rule=model.crop
            ),
            image_id=i,
            file_name=name,
            box_score=score,
        )
        for i, ((image, name), people) in enumerate(zip(chunk, boxes, strict=True))
        for x0, y0, x1, y1, score in _with_scores(people, image)
    )
    while part := tuple(islice(places, batch_size)):
        crops = torch.stack([crop_person(chunk[at.image_id][0], at, canvas) for at in part])
        yield Batch(crops, (), part)


def _with_scores(boxes: Tensor | None, image: Tensor) -> list[tuple[float, float, float, float, float]]:
    if boxes is None:
        return [(0.0, 0.0, float(image.shape[-1]), float(image.shape[-2]), 1.0)]
    return [(*row[:4], row[4] if len(row) > 4 else 1.0) for row in boxes.tolist()]


def _people(
    model: Predictor, found: Mapping[str, Mapping[int, ImageResult]], images: int, min_score: float
) -> list[Float[Tensor, "_ 5"] | None]:
    """Boxes and scores of the people that the first task with boxes found; None where none has."""
    finder = next((task.name for task in model.of_view("image") if task.finds_boxes), None)
    if finder is None:
        return [None] * images
    names = posed_names(model.categories)
    return [people_of(found[finder][i].instances, names, min_score) for i in range(images)]
