"""Boxes of people from a file, for tasks that look at one person at a time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.categories import Categories
from mtvit_core.errors import DataError


def read_person_boxes(
    file: Path, images: Sequence[Path], categories: Categories
) -> list[Float[Tensor, "_ 4"]]:
    """Read boxes as ``mtvit predict`` writes them.

    Args:
        file: A list of ``{"file_name": ..., "objects": [{"bbox": [x, y, width, height]}, ...]}``, in pixels
            of the original. Objects that tell a ``category`` are taken where that category has keypoints.
        images: Images to predict; found in the file by the name without its folder.
        categories: Classes of the model.

    Returns:
        Boxes x0 y0 x1 y1 of each image.

    Raises:
        DataError: the file is missing or malformed, or has no entry, or two, for an image.
    """
    by_name: dict[str, Any] = {}
    for number, entry in enumerate(_entries(file)):
        if not isinstance(entry, Mapping) or not {"file_name", "objects"} <= entry.keys():
            raise DataError(f"{file}: entry {number} is not an object with file_name and objects.")
        name = Path(entry["file_name"]).name
        if name in by_name:
            raise DataError(f"{file}: {name!r} stands twice; boxes are found by the name without its folder.")
        by_name[name] = entry["objects"]
    missing = [image.name for image in images if image.name not in by_name]
    if missing:
        raise DataError(
            f"{file}: there are no boxes for {missing[0]!r}; add an entry, if need be without objects."
        )
    people = {categories[label].name for label in categories.keypoint_labels}
    return [_boxes(file, image.name, by_name[image.name], people) for image in images]


def _entries(file: Path) -> list[Any]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; give the predictions.json of an earlier run.") from None
    except (OSError, ValueError) as cause:
        raise DataError(f"{file}: not a readable JSON file ({cause}).") from None
    if not isinstance(entries, list):
        raise DataError(f"{file}: it holds no list of images; give a predictions.json of `mtvit predict`.")
    return entries


def _boxes(file: Path, name: str, objects: Any, people: set[str]) -> Float[Tensor, "M 4"]:
    try:
        rows = [
            [float(value) for value in o["bbox"]]
            for o in objects
            if o.get("category", None) in {None, *people}
        ]
        x, y, width, height = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4).unbind(1)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError):
        raise DataError(
            f"{file}: an object of {name!r} has no bbox of four numbers x y width height."
        ) from None
    return torch.stack([x, y, x + width, y + height], 1)
