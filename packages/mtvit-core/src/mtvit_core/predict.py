"""From images of any kind to results: read, letterbox, run in batches, decode, join."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.crops import crop_person, person_meta
from mtvit_core.errors import ShapeError
from mtvit_core.geometry import ImageMeta
from mtvit_core.images import read_image
from mtvit_core.instances import Instances, concatenate
from mtvit_core.model import MultiTaskViT, View, evaluating

ImageLike = Tensor | str | Path

#: Score from which a person found by another task is worth a crop.
PERSON_SCORE = 0.3


def predict(
    model: MultiTaskViT,
    images: Tensor | Sequence[ImageLike],
    boxes: Sequence[Float[Tensor, "_ 4"]] | None = None,
    min_score: float = 0.0,
    batch_size: int = 8,
) -> list[Instances]:
    """Find objects.

    Args:
        model: The model; its mode is restored afterwards.
        images: One uint8 tensor B x 3 x H x W, or a list of uint8 tensors 3 x H x W and paths, of any sizes.
        boxes: People of each image for top-down tasks, xyxy in original pixels. Without them, the people that
            the model's other tasks find are taken; where it has none, the whole image is one person.
        min_score: Leave out objects below this score.
        batch_size: Images (or crops) per pass.

    Returns:
        One ``Instances`` per image, in order; its rows are those of each task in turn.

    Raises:
        ShapeError: images is a single image, a tensor is not uint8 or not 3 x H x W, or boxes and images
            differ in number.
        DataError: a file cannot be read as an image.
    """
    items = _items(images)
    if boxes is not None and len(boxes) != len(items):
        raise ShapeError(f"predict: {len(boxes)} lists of boxes for {len(items)} images; give one per image.")
    results: list[Instances] = []
    with evaluating(model):
        for start in range(0, len(items), batch_size):
            chunk = [_load(item) for item in items[start : start + batch_size]]
            given = None if boxes is None else boxes[start : start + batch_size]
            results += _predict_batch(model, chunk, given, batch_size)
    return [result.above(min_score) for result in results]


def _predict_batch(
    model: MultiTaskViT,
    chunk: list[tuple[Tensor, str]],
    boxes: Sequence[Tensor] | None,
    batch_size: int,
) -> list[Instances]:
    found: list[list[Instances]] = [[] for _ in chunk]
    if model.of_view("image"):
        metas = [
            model.letterbox.meta(image.shape[-2], image.shape[-1], file_name=name) for image, name in chunk
        ]
        canvases = torch.stack([model.letterbox.apply(image) for image, _ in chunk])
        _decode(model, "image", canvases, metas, list(range(len(chunk))), found)
    if model.of_view("person"):
        crops, metas, owner = _crops(model, chunk, boxes or [_people(parts) for parts in found])
        for start in range(0, len(crops), batch_size):
            part = slice(start, start + batch_size)
            _decode(model, "person", torch.stack(crops[part]), metas[part], owner[part], found)
    return [_join(model, parts, image, name) for parts, (image, name) in zip(found, chunk, strict=True)]


def _decode(
    model: MultiTaskViT,
    view: View,
    canvases: Tensor,
    metas: list[ImageMeta],
    owner: list[int],
    found: list[list[Instances]],
) -> None:
    predictions = model(canvases, view)
    for task in model.of_view(view):
        for image, result in zip(owner, task.decode(predictions[task.name], metas), strict=True):
            found[image].append(result)


def _crops(
    model: MultiTaskViT, chunk: list[tuple[Tensor, str]], boxes: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[ImageMeta], list[int]]:
    canvas = model.canvases["person"]
    crops, metas, owner = [], [], []
    for i, ((image, name), people) in enumerate(zip(chunk, boxes, strict=True)):
        height, width = image.shape[-2:]
        rows = [(0.0, 0.0, float(width), float(height), 1.0)] if people is None else _with_scores(people)
        for x0, y0, x1, y1, score in rows:
            meta = replace(
                person_meta((x0, y0, x1, y1), height, width, canvas), file_name=name, box_score=score
            )
            crops.append(crop_person(image, meta, canvas))
            metas.append(meta)
            owner.append(i)
    return crops, metas, owner


def _with_scores(boxes: Tensor) -> list[tuple[float, float, float, float, float]]:
    return [(*row[:4], row[4] if len(row) > 4 else 1.0) for row in boxes.tolist()]


def _people(parts: list[Instances]) -> Float[Tensor, "M 5"] | None:
    """Boxes and scores of the people found by the first task that finds boxes; None where no task looked."""
    if not parts:
        return None
    labels = torch.tensor(parts[0].categories.keypoint_labels)
    people = parts[0][torch.isin(parts[0].labels, labels) & (parts[0].scores >= PERSON_SCORE)]
    return torch.cat([people.boxes, people.scores[:, None]], 1)


def _join(model: MultiTaskViT, parts: list[Instances], image: Tensor, name: str) -> Instances:
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
