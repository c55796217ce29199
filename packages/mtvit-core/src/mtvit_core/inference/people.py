"""Boxes of people for tasks that look at one person at a time: from results, or from a file."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.instances import Instances

#: Score from which a person that a detector found is worth a crop.
PERSON_SCORE = 0.3


def posed_names(categories: Categories) -> set[str]:
    """Names of the categories that have keypoints."""
    return {categories[label].name for label in categories.keypoint_labels}


def people_of(found: Instances, names: set[str], min_score: float = PERSON_SCORE) -> Float[Tensor, "_ 5"]:
    """Return boxes x0 y0 x1 y1 and scores of the objects in a result that are people.

    Args:
        found: What a detector found in an image.
        names: Names of the categories that count as people.
        min_score: Least score.
    """
    is_person = torch.tensor([name in names for name in found.names], dtype=torch.bool)
    people = found[is_person & (found.scores >= min_score)]
    return torch.cat([people.boxes, people.scores[:, None]], 1)


def read_person_boxes(
    file: Path, images: Sequence[Path], categories: Categories, ids: Sequence[int] | None = None
) -> list[Float[Tensor, "_ 5"]]:
    """Read boxes as ``mtvit predict`` writes them, or a COCO detection file.

    Args:
        file: A list of ``{"file_name": ..., "objects": [{"bbox": [x, y, width, height]}, ...]}``, where an
            object may tell ``category`` (a name) and ``score``; or a list of ``{"image_id": ...,
            "category_id": ..., "bbox": ..., "score": ...}``. Pixels are those of the original. Objects of a
            category without keypoints are left out; a score that is not told is 1.
        images: Images to predict. Entries are found by the name without its folder, detections by the id.
        categories: Classes of the model.
        ids: Id of each image; without them, ids are the numbers that files are named by, as 000000000139.jpg.

    Returns:
        Boxes x0 y0 x1 y1 and score, of each image.

    Raises:
        DataError: a file is missing or malformed, or there is no entry, or two, for an image.
    """
    entries = _entries(file)
    first = entries[0] if entries else None
    if isinstance(first, Mapping) and {"image_id", "category_id", "bbox"} <= first.keys():
        return _detections(file, entries, images, categories, ids)
    by_name: dict[str, Any] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not {"file_name", "objects"} <= entry.keys():
            raise DataError(f"{file}: entry {number} is not an object with file_name and objects.")
        name = Path(entry["file_name"]).name
        if name in by_name:
            raise DataError(
                f"{file}: {name!r} is listed twice; boxes are found by the file name without its folder."
            )
        by_name[name] = entry["objects"]
    missing = [image.name for image in images if image.name not in by_name]
    if missing:
        raise DataError(
            f"{file}: there are no boxes for {missing[0]!r}; add an entry, if need be without objects."
        )
    people = posed_names(categories)

    def is_person(found: Mapping[str, Any]) -> bool:
        return found.get("category", None) in {None, *people}

    return [_boxes(file, image.name, by_name[image.name], is_person) for image in images]


def _detections(
    file: Path,
    entries: list[Any],
    images: Sequence[Path],
    categories: Categories,
    known_ids: Sequence[int] | None,
) -> list[Float[Tensor, "_ 5"]]:
    by_id: dict[int, list[Any]] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not {"image_id", "category_id", "bbox"} <= entry.keys():
            raise DataError(f"{file}: entry {number} is not an object with image_id, category_id and bbox.")
        by_id.setdefault(entry["image_id"], []).append(entry)
    ids = _ids_of_names(file, images) if known_ids is None else known_ids
    if images and not any(id_ in by_id for id_ in ids):
        raise DataError(
            f"{file}: it has boxes of {len(by_id)} images, but not of {images[0].name!r} (id {ids[0]}) or "
            "any other that was given; give the file of these images, or their ids with --annotations."
        )
    people = {categories[label].id for label in categories.keypoint_labels}

    def is_person(found: Mapping[str, Any]) -> bool:
        return found["category_id"] in people

    return [
        _boxes(file, image.name, by_id.get(id_, []), is_person)
        for image, id_ in zip(images, ids, strict=True)
    ]


def _ids_of_names(file: Path, images: Sequence[Path]) -> list[int]:
    unnamed = [image.name for image in images if not image.stem.isdecimal()]
    if unnamed:
        raise DataError(
            f"{file}: it names images by their ids, and {unnamed[0]!r} does not tell one; give the COCO "
            "annotation file of the images with --annotations."
        )
    return [int(image.stem) for image in images]


def read_image_ids(annotations: Path, images: Sequence[Path]) -> list[int]:
    """Look up the ids of images in a COCO annotation file, by their names without folders.

    Raises:
        DataError: the file is missing or malformed, or does not list an image.
    """
    table = _read(annotations, "give a COCO annotation file, with a list of images.")
    try:
        ids = {Path(image["file_name"]).name: int(image["id"]) for image in table["images"]}
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{annotations}: it has no list of images with file_name and id.") from None
    missing = [image.name for image in images if image.name not in ids]
    if missing:
        raise DataError(f"{annotations}: it does not list {missing[0]!r}; give the file of these images.")
    return [ids[image.name] for image in images]


def _entries(file: Path) -> list[Any]:
    entries = _read(file, "give the predictions.json of an earlier run, or a COCO detection file.")
    if not isinstance(entries, list):
        raise DataError(
            f"{file}: it holds no list; give a predictions.json of `mtvit predict`, or a COCO detection file."
        )
    return entries


def _read(file: Path, wanted: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; {wanted}") from None
    except (OSError, ValueError) as cause:
        raise DataError(f"{file}: not a readable JSON file ({cause}).") from None


def _boxes(
    file: Path, name: str, objects: Any, is_person: Callable[[Mapping[str, Any]], bool]
) -> Float[Tensor, "_ 5"]:
    try:
        rows = [
            [*(float(value) for value in found["bbox"]), float(found.get("score", 1.0))]
            for found in objects
            if is_person(found)
        ]
        x, y, width, height, score = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5).unbind(1)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):
        raise DataError(
            f"{file}: an object of {name!r} has no bbox of four numbers x y width height, or a score that is "
            "no number."
        ) from None
    return torch.stack([x, y, x + width, y + height, score], 1)
