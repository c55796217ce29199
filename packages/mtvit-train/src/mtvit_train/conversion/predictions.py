"""What ``mtvit predict`` has found, as a COCO data set that annotation tools import: pre-labelling."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_core.structures.masks import Rle, decode_rle, rle_area
from mtvit_train.conversion.coco_set import CocoSplit, Entry
from mtvit_train.conversion.data_sets import category_entries
from mtvit_train.conversion.outlines import outlines_of

#: Score from which a keypoint is written as visible; the others are written as hidden.
_SURE = 0.3
#: The fields of an object that are read.
_NEEDED = ("category_id", "score", "bbox")


@dataclass(frozen=True)
class Predictions:
    """Results by image.

    Attributes:
        path: Where they were read.
        images: Entries of ``predictions.json``: name, size and objects of each image.
    """

    path: Path
    images: Sequence[Entry]


def read_predictions(path: Path, annotations: Path | None) -> Predictions:
    """Read results.

    Args:
        path: ``predictions.json``; the lines that an unfinished run has left; or a list of COCO results.
        annotations: A COCO file that lists the images of COCO results.

    Raises:
        DataError: a file is malformed, or COCO results come without the file of their images.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lines = (
            [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error}).") from None
    if not isinstance(lines, list) or not all(isinstance(entry, dict) for entry in lines):
        raise DataError(f"{path}: holds no list of objects; give a predictions.json or COCO results.")
    if lines and {"image_id", *_NEEDED} <= lines[0].keys():
        return Predictions(path, _by_image(lines, path, annotations))
    images = [entry for entry in lines if "objects" in entry]  # the first line of an unfinished run has none
    for place, entry in enumerate(images):
        if not {"file_name", "height", "width"} <= entry.keys():
            raise DataError(
                f"{path}: image {place} lacks file_name, height or width; give a predictions.json."
            )
    if not images:
        raise DataError(f"{path}: holds no image with objects; give a predictions.json or COCO results.")
    return Predictions(path, images)


def _by_image(results: Sequence[Entry], path: Path, annotations: Path | None) -> list[Entry]:
    if annotations is None:
        raise DataError(
            f"{path}: COCO results name images by their ids; give the file of the images by --annotations."
        )
    try:
        listed = json.loads(annotations.read_text(encoding="utf-8"))
        images = {entry["id"]: {**entry, "objects": []} for entry in listed["images"]}
        names = {entry["id"]: entry["name"] for entry in listed["categories"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{annotations}: is no COCO file of images and categories ({error}).") from None
    for place, entry in enumerate(results):
        if entry.get("image_id") not in images or entry.get("category_id") not in names:
            raise DataError(
                f"{path}: result {place} is of image {entry.get('image_id')} and category "
                f"{entry.get('category_id')}, not both in {annotations.name}; give the file of these images."
            )
        images[entry["image_id"]]["objects"].append({"category": names[entry["category_id"]], **entry})
    return list(images.values())


def coco_predictions(
    found: Predictions, min_score: float, known: Categories | None, root: Path | None
) -> tuple[CocoSplit, int]:
    """Return results as a split called ``default``, and the number of objects.

    Args:
        found: The results.
        min_score: Objects with a lower score are left out.
        known: Categories of the model; None: those of the results, with keypoints by number.
        root: The folder that names of images are of; None: names are as they were given to ``predict``.

    Raises:
        DataError: an object is malformed, or two images have one name.
    """
    categories = known or _categories(found)
    entries, ids = category_entries(categories)
    split, names = CocoSplit("default", entries), _names(found)
    for number, (image, name) in enumerate(zip(found.images, names, strict=True), start=1):
        size = {"height": image["height"], "width": image["width"]}
        split.images.append({"id": number, "file_name": name, **size})
        split.files[name] = (root or Path()) / image["file_name"]
        for place, one in enumerate(image["objects"], start=1):
            where = f"{found.path}: object {place} of {image['file_name']}"
            entry = _annotation(one, categories, where)
            if entry["score"] >= min_score:
                own = {"id": len(split.annotations) + 1, "image_id": number}
                split.annotations.append({**own, **entry, "category_id": ids[entry["category_id"]]})
    return split, len(split.annotations)


def _names(found: Predictions) -> list[str]:
    """Return the names of images without folders; where they clash, below the folder of all."""
    paths = [Path(image["file_name"]) for image in found.images]
    short = [path.name for path in paths]
    if len(set(short)) == len(short):
        return short
    folder = Path(*_shared([path.parent.parts for path in paths]))
    return [path.relative_to(folder).as_posix() for path in paths]


def _shared(parts: Sequence[Sequence[str]]) -> list[str]:
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return shared


def _categories(found: Predictions) -> Categories:
    """Return the categories that occur, by rising id; keypoints have COCO's names where they are 17."""
    names: dict[int, str] = {}
    points: dict[int, int] = {}
    for image in found.images:
        for one in image["objects"]:
            number = one.get("category_id")
            if isinstance(number, int):
                names.setdefault(number, str(one.get("category", number)))
                points[number] = max(points.get(number, 0), len(one.get("keypoints", ())) // 3)
    if not names:
        raise DataError(f"{found.path}: no object is found in any image; nothing is to be written.")
    return Categories(tuple(Category(n, names[n], _schema(points[n])) for n in sorted(names)))


def _schema(count: int) -> KeypointSchema | None:
    if count == len(COCO_PERSON.names):
        return COCO_PERSON
    return KeypointSchema(tuple(f"keypoint_{i}" for i in range(1, count + 1))) if count else None


def _annotation(one: Mapping[str, Any], categories: Categories, where: str) -> Entry:
    try:
        number, score, (x, y, w, h) = one["category_id"], float(one["score"]), map(float, one["bbox"])
        category = categories[categories.label_of_id[number]]
        segmentation = one.get("segmentation")
        rle = None if segmentation is None else Rle(tuple(segmentation["size"]), segmentation["counts"])
        points = [float(value) for value in one.get("keypoints", ())]
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{where} has no category_id of the model, score or bbox x y width height, or is malformed."
        ) from None
    entry: Entry = {
        "category_id": number,
        "bbox": [x, y, w, h],
        "area": w * h if rle is None else rle_area(rle),
        "iscrowd": 0,
        "segmentation": [] if rle is None else outlines_of(decode_rle(rle)),
        "score": score,
    }
    if category.keypoints is not None and points:
        entry["keypoints"] = [
            2 - (value < _SURE) if place % 3 == 2 else value for place, value in enumerate(points)
        ]
        entry["num_keypoints"] = len(points) // 3
    return entry
