"""A data set of three small images in COCO's layout, for tests to write and to damage."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Categories
from mtvit_train.data.formats.coco import CocoConfig, read_coco

Documents = dict[str, dict[str, Any]]

_IMAGES = [
    {"id": 7, "file_name": "a.png", "height": 30, "width": 40},
    {"id": 3, "file_name": "more/b.png", "height": 24, "width": 24},
    {"id": 9, "file_name": "c.png", "height": 20, "width": 50},
]
_PERSON = {
    "id": 1,
    "name": "person",
    "keypoints": ["nose", "left_eye", "right_eye"],
    "skeleton": [[1, 2], [1, 3]],
}
_PEOPLE = [
    {
        "id": 101,
        "image_id": 7,
        "category_id": 1,
        "bbox": [4, 6, 10, 12],
        "area": 120,
        "iscrowd": 0,
        "segmentation": [[4, 6, 14, 6, 14, 18, 4, 18]],
    },
    {
        "id": 103,
        "image_id": 3,
        "category_id": 1,
        "bbox": [0, 0, 24, 24],
        "area": 480,
        "iscrowd": 1,
        "segmentation": {"size": [24, 24], "counts": [48, 480, 48]},
    },
]
_DOG = {
    "id": 102,
    "image_id": 7,
    "category_id": 18,
    "bbox": [20.5, 10, 12, 8],
    "area": 48.5,
    "iscrowd": 0,
    "segmentation": [[20.5, 10, 32.5, 10, 20.5, 18]],
}
_POINTS = [[8, 8, 2, 10, 7.5, 1, 0, 0, 0], [0] * 9]


def documents() -> Documents:
    """Fresh contents of the two files: a person with keypoints and a dog, a crowd, an empty image."""
    people = [
        {**person, "keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}
        for person, points in zip(_PEOPLE, _POINTS, strict=True)
    ]
    plain = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
    instances = {"images": _IMAGES, "annotations": [_PEOPLE[0], _PEOPLE[1], _DOG], "categories": plain}
    keypoints = {"images": _IMAGES, "annotations": people, "categories": [_PERSON]}
    return {"instances": copy.deepcopy(instances), "keypoints": copy.deepcopy(keypoints)}


def instances_path(root: Path) -> Path:
    """Path of the file of boxes and masks."""
    return root / "annotations" / "instances_train2017.json"


def keypoints_path(root: Path) -> Path:
    """Path of the file of keypoints."""
    return root / "annotations" / "person_keypoints_train2017.json"


def write(root: Path, files: Documents | None = None) -> Path:
    """Write images and annotation files of the training split below ``root``, and return it."""
    files = documents() if files is None else files
    for image in _IMAGES:
        path = root / "train2017" / str(image["file_name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(int(image["id"]))
        pixels = rng.integers(0, 256, (int(image["height"]), int(image["width"]), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    write_annotations(root, files)
    return root


def write_annotations(root: Path, files: Documents) -> None:
    """Write the annotation files alone."""
    instances_path(root).parent.mkdir(exist_ok=True)
    instances_path(root).write_text(json.dumps(files["instances"]))
    keypoints_path(root).write_text(json.dumps(files["keypoints"]))


def message(root: Path, config: CocoConfig | None = None, categories: Categories | None = None) -> str:
    """Read the training split, which must fail, and return the error.

    ``{i}`` and ``{k}`` stand for the two annotation files, ``{r}`` for the folder.
    """
    with pytest.raises(DataError) as caught:
        read_coco(root, "train", config, categories)
    text = str(caught.value)
    assert "\n" not in text
    for path, short in ((instances_path(root), "{i}"), (keypoints_path(root), "{k}"), (root, "{r}")):
        text = text.replace(str(path), short)
    return text


def drop(entry: dict[str, Any], key: str) -> None:
    """Remove a key."""
    del entry[key]
