"""Images with two objects each, as every form has them: boxes, outlines, points, COCO documents."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
#: Boxes x y width height of the objects of every image, and their classes.
BOXES = ((4.0, 6.0, 20.0, 16.0), (30.0, 12.0, 24.0, 30.0))
CLASSES = ("cat", "dog")
Entry = dict[str, Any]


def image(path: Path, seed: int) -> Path:
    """Write an image of blocks of colour, which looks like no other one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(path)
    return path


def outline(box: Sequence[float]) -> list[float]:
    """Corners of a box as a flat outline."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def points(box: Sequence[float], count: int, first: float = 0.0) -> list[float]:
    """Labelled keypoints inside a box, x y v each."""
    x, y, w, h = box
    spots = [(i + 0.5) / count for i in range(count)]
    return [n for s in spots for n in (round(x + s * w + first, 3), round(y + s * h + first, 3), 2)]


def coco(names: Sequence[str], **more: Any) -> dict[str, Any]:
    """A COCO document of boxes; ``more`` are fields of each annotation, or functions of its box."""
    images = [
        {"id": i, "file_name": n, "width": WIDTH, "height": HEIGHT} for i, n in enumerate(names, start=1)
    ]
    annotations = [
        {
            "id": 2 * i + k + 1,
            "image_id": i + 1,
            "category_id": k + 1,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
            **{key: value(box) if callable(value) else value for key, value in more.items()},
        }
        for i in range(len(names))
        for k, box in enumerate(BOXES)
    ]
    categories = [{"id": k, "name": n, "supercategory": ""} for k, n in enumerate(CLASSES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def people(names: Sequence[str], schema: Sequence[str], **more: Any) -> dict[str, Any]:
    """A COCO document of people with keypoints; an empty list of names leaves them to others."""
    document = coco(names, **more)
    person: Entry = {"id": 1, "name": "person", "supercategory": "person", "skeleton": []}
    document["categories"] = [{**person, "keypoints": list(schema)} if schema else person]
    document["annotations"] = [{**entry, "category_id": 1} for entry in document["annotations"]]
    return document


def dump(path: Path, content: Any) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def images(root: Path, folder: str, count: int, seed: int) -> list[str]:
    """Write images, and return their names."""
    return [image(root / folder / f"{seed}_{i}.png", 10 * seed + i).name for i in range(count)]
