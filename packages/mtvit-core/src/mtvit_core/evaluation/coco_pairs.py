"""Which result stands for which annotated object of an image, whatever their classes.

Results go from the best score down. Each takes, of the objects that are left and similar enough, one of its
own class if there is one, else of another; the most similar one. Boxes and masks are similar by IoU,
keypoints by OKS:

    OKS = mean over labelled keypoints of exp(-d_i^2 / (2 s^2 k_i^2)),  k_i = 2 sigma_i, s^2 the object's area
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pycocotools import mask as coco_mask

from mtvit_core.evaluation.coco_entries import Entry, IouType
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.keypoints import KeypointSchema

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
        return np.stack([_oks(entry, results, categories) for entry in objects])
    crowd = [int(entry["iscrowd"]) for entry in objects]
    ours, theirs = ([entry[_FIELD[kind]] for entry in entries] for entries in (results, objects))
    overlap: Float[ndarray, "results M"] = coco_mask.iou(ours, theirs, crowd)
    return overlap.T


def _oks(entry: Entry, results: Sequence[Entry], categories: Categories) -> Float[ndarray, " results"]:
    """OKS of every result with one object; 0 where it is of another category."""
    schema = categories[categories.label_of_id[entry["category_id"]]].keypoints
    alike = np.array([result["category_id"] == entry["category_id"] for result in results])
    oks = np.zeros(len(results))
    if schema is not None and alike.any():
        own = [result for result, same in zip(results, alike, strict=True) if same]
        measure = keypoint_errors if entry["num_keypoints"] else _outside
        oks[alike] = np.nanmean(np.exp(-(measure(entry, own, schema) ** 2) / 2), axis=1)
    return oks


def keypoint_errors(
    entry: Entry, results: Sequence[Entry], schema: KeypointSchema
) -> Float[ndarray, "results K"]:
    """Return d_i / (s k_i) of every result and keypoint; NaN where it is not labelled."""
    truth = np.reshape(entry["keypoints"], (-1, 3))
    errors = _length(_places(results) - truth[:, :2]) / _tolerance(entry, schema)
    return np.where(truth[:, 2] > 0, errors, np.nan)


def _outside(entry: Entry, results: Sequence[Entry], schema: KeypointSchema) -> Float[ndarray, "results K"]:
    """The same to a box three times as large as that of an object without keypoints, as COCOeval has it."""
    corner, size = np.reshape(entry["bbox"], (2, 2))
    found = _places(results)
    beyond = np.maximum(0, corner - size - found) + np.maximum(0, found - corner - 2 * size)
    errors: Float[ndarray, "results K"] = _length(beyond) / _tolerance(entry, schema)
    return errors


def _places(results: Sequence[Entry]) -> Float[ndarray, "results K 2"]:
    return np.reshape([result["keypoints"] for result in results], (len(results), -1, 3))[..., :2]


def _length(vectors: Float[ndarray, "results K 2"]) -> Float[ndarray, "results K"]:
    length: Float[ndarray, "results K"] = np.hypot(vectors[..., 0], vectors[..., 1])
    return length


def _tolerance(entry: Entry, schema: KeypointSchema) -> Float[ndarray, " K"]:
    tolerance: Float[ndarray, " K"] = np.sqrt(entry["area"] + np.spacing(1)) * 2 * np.array(schema.sigmas)
    return tolerance
