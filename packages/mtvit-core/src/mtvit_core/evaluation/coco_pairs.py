"""Which result stands for which annotated object of an image, whatever their classes.

Results go from the best score down. Each takes, of the objects that are left and similar enough, one of its
own class if there is one, else of another; the most similar one. Boxes and masks are similar by IoU,
keypoints by OKS:

    OKS = mean over labelled keypoints of exp(-d_i^2 / (2 s^2 k_i^2)),  k_i = 2 sigma_i, s^2 the object's area
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pycocotools import mask as coco_mask

from mtvit_core.evaluation.coco_entries import IouType
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.keypoints import KeypointSchema

Entry = Mapping[str, Any]
#: The field that is compared.
_FIELD = {"bbox": "bbox", "segm": "segmentation"}


@dataclass(frozen=True)
class Pairs:
    """The pairs of one image.

    Attributes:
        pairs: Object and result.
        missed: Objects without a result.
        false: Results without an object.
    """

    pairs: tuple[tuple[Entry, Entry], ...]
    missed: tuple[Entry, ...]
    false: tuple[Entry, ...]


def pair_up(
    objects: Sequence[Entry],
    results: Sequence[Entry],
    categories: Categories,
    kind: IouType,
    min_score: float,
    least: float = 0.5,
) -> Pairs:
    """Pair the objects and the results of one image.

    Crowds, and people without a labelled keypoint, are neither missed nor found; results on them are not
    false.

    Args:
        objects: Annotations as COCO entries.
        results: Results as COCO entries.
        categories: Their classes.
        kind: What is compared.
        min_score: Results below it do not count.
        least: Similarity that a pair has at least.
    """
    found = sorted((r for r in results if r["score"] >= min_score), key=lambda r: -float(r["score"]))
    similar = similarity(objects, found, categories, kind)
    real = [i for i, entry in enumerate(objects) if not entry["iscrowd"] and entry.get("num_keypoints", 1)]
    left, pairs, false = set(real), [], []
    for j, result in enumerate(found):
        near = [i for i in range(len(objects)) if similar[i, j] >= least]
        free = [i for i in near if i in left]
        if free:
            alike = [objects[i]["category_id"] == result["category_id"] for i in free]
            best = max(zip(alike, similar[free, j], free, strict=True))[2]
            left.remove(best)
            pairs.append((objects[best], result))
        elif all(i in real for i in near):
            false.append(result)
    return Pairs(tuple(pairs), tuple(objects[i] for i in sorted(left)), tuple(false))


def similarity(
    objects: Sequence[Entry], results: Sequence[Entry], categories: Categories, kind: IouType
) -> Float[ndarray, "M results"]:
    """Return the IoU (or OKS) of every object with every result; for crowds, the share inside the crowd."""
    if not objects or not results:
        return np.zeros((len(objects), len(results)))
    if kind == "keypoints":
        return np.array([[_oks(entry, result, categories) for result in results] for entry in objects])
    crowd = [int(entry["iscrowd"]) for entry in objects]
    ours, theirs = ([entry[_FIELD[kind]] for entry in entries] for entries in (results, objects))
    overlap: Float[ndarray, "results M"] = coco_mask.iou(ours, theirs, crowd)
    return overlap.T


def _oks(entry: Entry, result: Entry, categories: Categories) -> float:
    schema = categories[categories.label_of_id[entry["category_id"]]].keypoints
    if schema is None or entry["category_id"] != result["category_id"]:
        return 0.0
    errors = (
        keypoint_errors(entry, result, schema) if entry["num_keypoints"] else _outside(entry, result, schema)
    )
    return float(np.nanmean(np.exp(-(errors**2) / 2)))


def keypoint_errors(entry: Entry, result: Entry, schema: KeypointSchema) -> Float[ndarray, " K"]:
    """Return d_i / (s k_i) of every keypoint; NaN where it is not labelled."""
    truth, found = (np.reshape(e["keypoints"], (-1, 3)) for e in (entry, result))
    errors = np.hypot(*(truth - found)[:, :2].T) / _tolerance(entry, schema)
    return np.where(truth[:, 2] > 0, errors, np.nan)


def _outside(entry: Entry, result: Entry, schema: KeypointSchema) -> Float[ndarray, " K"]:
    """The same to a box three times as large as that of an object without keypoints, as COCOeval has it."""
    corner, size = np.reshape(entry["bbox"], (2, 2))
    found = np.reshape(result["keypoints"], (-1, 3))[:, :2]
    beyond = np.maximum(0, corner - size - found) + np.maximum(0, found - corner - 2 * size)
    errors: Float[ndarray, " K"] = np.hypot(*beyond.T) / _tolerance(entry, schema)
    return errors


def _tolerance(entry: Entry, schema: KeypointSchema) -> Float[ndarray, " K"]:
    tolerance: Float[ndarray, " K"] = np.sqrt(entry["area"] + np.spacing(1)) * 2 * np.array(schema.sigmas)
    return tolerance
