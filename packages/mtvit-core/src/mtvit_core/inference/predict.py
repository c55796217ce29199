"""From images of any kind to results: read, letterbox, run in batches, decode, join."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.errors import ShapeError
from mtvit_core.inference.people import PERSON_SCORE, people_of, posed_names
from mtvit_core.inference.predictor import Predictor
from mtvit_core.structures.crops import crop_person, person_meta
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.image_files import read_image
from mtvit_core.structures.instances import Instances, concatenate
from mtvit_core.structures.linking import MIN_LINK
from mtvit_core.structures.linking import link as linked
from mtvit_core.tasks.contract import decode
from mtvit_core.tasks.task import View

ImageLike = Tensor | str | Path


def predict(
    model: Predictor,
    images: Tensor | Sequence[ImageLike],
    boxes: Sequence[Tensor] | None = None,
    min_score: float = 0.0,
    batch_size: int = 8,
    person_score: float = PERSON_SCORE,
    link: bool = True,
    min_link: float = MIN_LINK,
) -> list[Instances]:
    """Find objects.

    Args:
        model: A model, whose mode is restored afterwards, or an exported program.
        images: One uint8 tensor B x 3 x H x W, or a list of uint8 tensors 3 x H x W and paths, of any sizes.
        boxes: People of each image for top-down tasks, M x 4: xyxy in original pixels, or M x 5: with scores.
            Without them, people are taken from the model's own task that finds boxes; where it has none, the
            whole image is one person.
        min_score: Leave out what a task finds below this score.
        batch_size: Images (or crops) per pass.
        person_score: Least score of people that another task of the model found.
        link: One row per object, see ``mtvit_core.structures.linking``; without it, one per object and task.
            ``Instances.of`` gives what one task found in either case.
        min_link: Least agreement of results that are linked, in [0, 1].

    Returns:
        One ``Instances`` per image, in order; its rows are those of each task in turn, without those that
        have joined an earlier one.

    Raises:
        ShapeError: images is a single image, a tensor is not uint8 or not 3 x H x W, boxes are not M x 4 or
            M x 5, or boxes and images differ in number.
        DataError: a file cannot be read as an image.
    """
    items = _items(images)
    if boxes is not None:
        _check_boxes(boxes, len(items))
    results: list[Instances] = []
    with model.answering():
        for start in range(0, len(items), batch_size):
            chunk = [_load(item) for item in items[start : start + batch_size]]
            given = None if boxes is None else boxes[start : start + batch_size]
            results += _predict_batch(model, chunk, given, batch_size, person_score)
    kept = [result.above(min_score) for result in results]
    if not link:
        return kept
    apart = [task.name for task in model.task_list if not task.linkable]
    return [linked(result, min_link, apart) for result in kept]


def _check_boxes(boxes: Sequence[Tensor], images: int) -> None:
    if len(boxes) != images:
        raise ShapeError(f"predict: {len(boxes)} lists of boxes for {images} images; give one per image.")
    for people in boxes:
        if people.ndim != 2 or people.shape[1] not in (4, 5):
            raise ShapeError(
                f"predict: boxes of an image are of shape {tuple(people.shape)}; give M x 4, x0 y0 x1 y1, or "
                "M x 5, with a score."
            )


def _predict_batch(
    model: Predictor,
    chunk: list[tuple[Tensor, str]],
    boxes: Sequence[Tensor] | None,
    batch_size: int,
    person_score: float,
) -> list[Instances]:
    found: dict[str, list[Instances]] = {}
    if model.of_view("image"):
        found = _predict_whole(model, chunk)
    if model.of_view("person"):
        people = _people(model, found, len(chunk), person_score) if boxes is None else boxes
        found |= _predict_people(model, chunk, people, batch_size)
    parts = [[results[i] for results in found.values()] for i in range(len(chunk))]
    return [_join(model, part, image, name) for part, (image, name) in zip(parts, chunk, strict=True)]


def _predict_whole(model: Predictor, chunk: list[tuple[Tensor, str]]) -> dict[str, list[Instances]]:
    """Results of the tasks that see whole images; canvases of one size make a batch."""
    framing = model.framing
    metas = [framing.meta(image.shape[-2], image.shape[-1], file_name=name) for image, name in chunk]
    canvases = [framing.apply(image) for image, _ in chunk]
    found: dict[str, dict[int, Instances]] = {task.name: {} for task in model.of_view("image")}
    for rows in _of_one_size(canvases):
        batch = torch.stack([canvases[i] for i in rows])
        for name, results in _decode(model, "image", batch, [metas[i] for i in rows]).items():
            found[name] |= zip(rows, results, strict=True)
    return {name: [results[i] for i in range(len(chunk))] for name, results in found.items()}


def _of_one_size(canvases: list[Tensor]) -> list[list[int]]:
    """Indices of canvases that can be stacked, in the order of their first."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, canvas in enumerate(canvases):
        groups.setdefault(tuple(canvas.shape), []).append(i)
    return list(groups.values())


def _decode(
    model: Predictor, view: View, canvases: Tensor, metas: list[ImageMeta]
) -> dict[str, list[Instances]]:
    predictions = model.answers(canvases, view)
    return {
        task.name: decode(task, predictions[task.name], metas, model.shares(task.name))
        for task in model.of_view(view)
    }


def _predict_people(
    model: Predictor, chunk: list[tuple[Tensor, str]], people: Sequence[Tensor | None], batch_size: int
) -> dict[str, list[Instances]]:
    crops, metas, owner = _crops(model, chunk, people)
    found: dict[str, list[Instances]] = {task.name: [] for task in model.of_view("person")}
    for start in range(0, len(crops), batch_size):
        part = slice(start, start + batch_size)
        for name, results in _decode(model, "person", torch.stack(crops[part]), metas[part]).items():
            found[name] += results
    nobody = [
        Instances.empty(int(image.shape[-2]), int(image.shape[-1]), model.categories, file_name=name)
        for image, name in chunk
    ]
    joined: dict[str, list[Instances]] = {}
    for task in model.of_view("person"):
        rows = [[k for k, image in enumerate(owner) if image == i] for i in range(len(chunk))]
        joined[task.name] = [
            task.join([found[task.name][k] for k in own], [metas[k] for k in own]) if own else nobody[i]
            for i, own in enumerate(rows)
        ]
    return joined


def _crops(
    model: Predictor, chunk: list[tuple[Tensor, str]], boxes: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[ImageMeta], list[int]]:
    canvas = model.canvases["person"]
    crops, metas, owner = [], [], []
    for i, ((image, name), people) in enumerate(zip(chunk, boxes, strict=True)):
        height, width = image.shape[-2:]
        rows = [(0.0, 0.0, float(width), float(height), 1.0)] if people is None else _with_scores(people)
        for x0, y0, x1, y1, score in rows:
            place = person_meta((x0, y0, x1, y1), height, width, canvas, rule=model.crop)
            meta = replace(place, file_name=name, box_score=score)
            crops.append(crop_person(image, meta, canvas))
            metas.append(meta)
            owner.append(i)
    return crops, metas, owner


def _with_scores(boxes: Tensor) -> list[tuple[float, float, float, float, float]]:
    return [(*row[:4], row[4] if len(row) > 4 else 1.0) for row in boxes.tolist()]


def _people(
    model: Predictor, found: Mapping[str, Sequence[Instances]], images: int, min_score: float
) -> list[Float[Tensor, "_ 5"] | None]:
    """Boxes and scores of the people that the first task with boxes found; None where none has."""
    finder = next((task.name for task in model.of_view("image") if task.finds_boxes), None)
    if finder is None:
        return [None] * images
    names = posed_names(model.categories)
    return [people_of(result, names, min_score) for result in found[finder]]


def _join(model: Predictor, parts: list[Instances], image: Tensor, name: str) -> Instances:
    if parts:
        return concatenate(parts)
    height, width = int(image.shape[-2]), int(image.shape[-1])
    return Instances.empty(height, width, model.categories, file_name=name)


def _items(images: Tensor | Sequence[ImageLike]) -> list[ImageLike]:
    if isinstance(images, str | Path):
        raise ShapeError(f"predict: images is {str(images)!r}, a single path; give a list.")
    if isinstance(images, Tensor) and images.ndim != 4:
        raise ShapeError(
            f"predict: images is a tensor of shape {tuple(images.shape)}; "
            "give B x 3 x H x W, or a list of images."
        )
    return list(images)


def _load(item: ImageLike) -> tuple[Tensor, str]:
    if not isinstance(item, Tensor):
        return read_image(Path(item)), str(item)
    if item.dtype != torch.uint8 or item.ndim != 3 or item.shape[0] != 3 or 0 in item.shape:
        raise ShapeError(
            f"predict: an image is {item.dtype} of shape {tuple(item.shape)}; "
            "give uint8, 3 x H x W, RGB, 0 to 255."
        )
    return item.cpu(), ""
