"""A data set that the trainer reads, of whatever form, as a COCO data set."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.conversion.coco_set import CocoSplit, Entry, ids_from_one
from mtvit_train.data.packed import PackedAnnotations


def category_entry(category: Category, number: int) -> Entry:
    """Return a category as COCO writes it, with sigmas and flip pairs where they are known."""
    entry: Entry = {"id": number, "name": category.name, "supercategory": ""}
    schema = category.keypoints
    if schema is not None:
        entry |= {
            "keypoints": list(schema.names),
            "skeleton": [[a + 1, b + 1] for a, b in schema.skeleton],
            "flip_pairs": [[schema.names[a], schema.names[b]] for a, b in schema.flip_pairs],
        }
        if schema.sigmas:
            entry["sigmas"] = list(schema.sigmas)
    return entry


def category_entries(categories: Categories) -> tuple[list[Entry], dict[int, int]]:
    """Return all categories, and the id that is written for each id."""
    ids = ids_from_one([{"id": category.id} for category in categories])
    return [category_entry(category, ids[category.id]) for category in categories], ids


def coco_split(packed: PackedAnnotations, name: str, outlines: Mapping[int, Any]) -> tuple[CocoSplit, int]:
    """Return a split as COCO's entries; images without any label are left out.

    Args:
        packed: The split.
        name: What its files are called by.
        outlines: Segmentations as they were drawn, by annotation id; others are written as run lengths.

    Returns:
        The split, and how many images were left out.
    """
    entries, ids = category_entries(packed.categories)
    split, left_out = CocoSplit(name, entries), 0
    for index in range(len(packed)):
        record = packed.image(index)
        if not record.has & set(LABEL_KINDS):
            left_out += 1
            continue
        image = {
            "id": record.image_id,
            "file_name": record.file_name,
            "height": record.height,
            "width": record.width,
        }
        split.images.append({**image, **_searched(packed, index, ids)})
        split.files[record.file_name] = record.path
        rows = packed.rows(index)
        split.annotations += [
            {**_object(packed, row, index, outlines), "category_id": ids[_category(packed, row).id]}
            for row in range(rows.start, rows.stop)
        ]
    return split, left_out


def _category(packed: PackedAnnotations, row: int) -> Category:
    return packed.categories[int(packed.labels[row])]


def _object(packed: PackedAnnotations, row: int, index: int, outlines: Mapping[int, Any]) -> Entry:
    x0, y0, x1, y1 = packed.boxes[row].tolist()
    number, rle = int(packed.ids[row]), packed.rle(row, index)
    mask: Any = []
    if rle is not None:
        mask = outlines.get(number) or {"size": list(rle.size), "counts": rle.counts}
    entry: Entry = {
        "id": number,
        "image_id": packed.image(index).image_id,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(packed.areas[row]),
        "iscrowd": int(packed.crowd[row]),
        "segmentation": mask,
    }
    schema = _category(packed, row).keypoints
    if schema is not None:
        points = packed.points(slice(row, row + 1))[0, : len(schema.names)]
        points[points[:, 2] < 0] = 0  # not asked for in this data set
        entry["keypoints"] = points.ravel().tolist()
        entry["num_keypoints"] = int((points[:, 2] > 0).sum())
    return entry


def _searched(packed: PackedAnnotations, index: int, ids: Mapping[int, int]) -> Entry:
    """Return LVIS's lists where not every category is annotated in an image."""
    annotated = packed.annotated(index)
    if annotated is None:
        return {}
    known, shown = annotated.numpy(), np.zeros(len(packed.categories), bool)
    shown[packed.labels[packed.rows(index)]] = True
    lists = {"neg_category_ids": known & ~shown, "not_exhaustive_category_ids": ~known & shown}
    return {
        key: [ids[packed.categories[label].id] for label in np.flatnonzero(which).tolist()]
        for key, which in lists.items()
    }
