"""Scenes on disk in COCO's layout: PNG images, `instances`, `person_keypoints`, `labels`, dense labels."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.files import whole_folder
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.masks import encode_rle
from mtvit_train.scenes.layout import PERSON_ID
from mtvit_train.scenes.scene import CATEGORIES, IMAGE_CATEGORIES, Scene, check_numbers, render_scene

Entry = dict[str, Any]
#: Names of the dense labels, and of their folders.
DEPTH, SEMANTIC, NORMALS = "depth", "semantic", "normals"
#: Names of the classes of pixels.
CLASSES = ("background", *(category["name"] for category in CATEGORIES))
#: Depth per step of the grey value: the whole range of 16 bits is 1.
DEPTH_SCALE = 1 / 65535


def _annotations(scene: Scene) -> list[Entry]:
    """COCO entries of one scene, still without their ids; people carry keypoints."""
    entries = []
    for row, (mask, box) in enumerate(zip(scene.masks, scene.boxes_xywh.tolist(), strict=True)):
        rle = encode_rle(mask)
        entry: Entry = {
            "category_id": int(scene.category_ids[row]),
            "segmentation": {"size": list(rle.size), "counts": rle.counts},
            "area": int(mask.sum()),
            "bbox": box,
            "iscrowd": 0,
        }
        if entry["category_id"] == PERSON_ID:
            points = scene.keypoints[row]
            entry["keypoints"] = [round(number, 2) for number in points.ravel().tolist()]
            entry["num_keypoints"] = int((points[:, 2] > 0).sum())
        entries.append(entry)
    return entries


def _write_scene(
    index: int, *, folder: Path, seed: int, size: int, split: SplitName
) -> tuple[list[Entry], int]:
    """Write the images of one scene; return its annotations and its class."""
    scene = render_scene(seed, index, size, split)
    name = _file_name(index)
    Image.fromarray(scene.image).save(folder / name, compress_level=1)
    grey = np.rint(scene.depth / DEPTH_SCALE).clip(1, 65535).astype(np.uint16)  # 0 would mean: not labelled
    colours = np.rint((scene.normals.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
    for label, pixels in ((DEPTH, grey), (SEMANTIC, scene.semantic), (NORMALS, colours)):
        Image.fromarray(pixels).save(folder.parent / label / folder.name / name, compress_level=1)
    return _annotations(scene), int(scene.wall)


def _file_name(index: int) -> str:
    return f"{index + 1:012d}.png"


def _write_images(
    folder: Path, count: int, seed: int, size: int, split: SplitName, workers: int
) -> Iterator[tuple[list[Entry], int]]:
    folder.mkdir()
    for label in (DEPTH, SEMANTIC, NORMALS):
        (folder.parent / label / folder.name).mkdir(parents=True)
    write = partial(_write_scene, folder=folder, seed=seed, size=size, split=split)
    pool = ProcessPoolExecutor(workers, get_context("spawn")) if workers else None
    with pool or nullcontext():
        yield from pool.map(write, range(count), chunksize=16) if pool else map(write, range(count))


def _coco(split: SplitName, size: int, per_image: list[list[Entry]]) -> tuple[Entry, Entry]:
    """The contents of the `instances` and the `person_keypoints` file."""
    shape = {"height": size, "width": size}
    images = [{"id": i + 1, "file_name": _file_name(i), **shape} for i in range(len(per_image))]
    everything = [{**entry, "image_id": i + 1} for i, entries in enumerate(per_image) for entry in entries]
    numbered = [{"id": number, **entry} for number, entry in enumerate(everything, start=1)]
    joints = ("keypoints", "num_keypoints")
    boxes = [{key: value for key, value in entry.items() if key not in joints} for entry in numbered]
    info = {"description": f"mtvit scenes, {split}"}
    instances = {"info": info, "images": images, "annotations": boxes, "categories": list(CATEGORIES)}
    people = [entry for entry in numbered if entry["category_id"] == PERSON_ID]
    person = [category for category in CATEGORIES if category["id"] == PERSON_ID]
    return instances, {"info": info, "images": images, "annotations": people, "categories": person}


def _labels(instances: Entry, walls: list[int]) -> Entry:
    """The contents of the `labels` file: the class of each image of the `instances` file."""
    shown = [{"id": i, "image_id": i, "category_id": wall} for i, wall in enumerate(walls, start=1)]
    shared = {key: instances[key] for key in ("info", "images")}
    return {**shared, "annotations": shown, "categories": list(IMAGE_CATEGORIES)}


def _maps(split: SplitName) -> list[Entry]:
    return [
        {"name": DEPTH, "folder": f"{DEPTH}/{split}2017", "scale": DEPTH_SCALE},
        {"name": SEMANTIC, "folder": f"{SEMANTIC}/{split}2017", "classes": list(CLASSES)},
        {"name": NORMALS, "folder": f"{NORMALS}/{split}2017", "kind": "directions"},
    ]


def _check_empty(out: Path) -> None:
    if out.is_file():
        raise DataError(f"{out}: is a file; scenes need a new or an empty folder.")
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty; scenes need a new or an empty folder.")


def write_scenes(
    out: Path,
    train: int,
    val: int,
    seed: int,
    size: int,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 0,
) -> None:
    """Writes a data set in COCO's layout; annotation files come last, so an unfinished folder has none.

    Args:
        out: folder to make; it may exist if it is empty.
        train: number of images in `train2017/`.
        val: number of images in `val2017/`.
        seed: number of the data set, 0 to 2**32 - 1.
        size: side of the images in pixels, 64 to 1024.
        progress: called with (images done, images in all) after each image.
        workers: processes that render; 0 renders in this one. The files are the same for any number.

    Raises:
        DataError: `out` is not empty, or a number is out of its range.
    """
    _check_empty(out)
    counts: dict[SplitName, int] = {"train": train, "val": val}
    for split, count in counts.items():
        if count < 1:
            raise DataError(f"scenes: {split} is {count}; give at least 1 image.")
    check_numbers(seed, max(counts.values()) - 1, size)
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, Entry] = {}
    done = 0
    for split, count in counts.items():
        per_image, walls = [], []
        for entries, wall in _write_images(out / f"{split}2017", count, seed, size, split, workers):
            per_image.append(entries)
            walls.append(wall)
            done += 1
            if progress is not None:
                progress(done, train + val)
        instances, people = _coco(split, size, per_image)
        files |= {
            f"instances_{split}2017.json": instances,
            f"person_keypoints_{split}2017.json": people,
            f"labels_{split}2017.json": _labels(instances, walls),
            f"maps_{split}2017.json": {"maps": _maps(split)},
        }
    _write_annotations(out, files)


def _write_annotations(out: Path, files: dict[str, Entry]) -> None:
    with whole_folder(out / "annotations") as partial:
        for name, content in files.items():
            (partial / name).write_text(json.dumps(content, separators=(",", ":")))
