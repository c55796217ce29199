"""From what a graph tells of one canvas to entries as in ``predictions.json``, by numpy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from pycocotools import mask as coco_mask  # not by structures.masks, which needs torch

from mtvit_core.deploy.header import TaskOutputs
from mtvit_core.deploy.light.frames import Frame

Tensors = Mapping[str, ndarray]


def objects(
    task: str, told: TaskOutputs, found: Tensors, frame: Frame, classes: Sequence[Any], min_score: float
) -> list[dict[str, Any]]:
    """Return the objects of one image, best first, without those that repeat a better one.

    Args:
        task: The task.
        told: How its tensors are to be read.
        found: Its tensors for this image, by their own names.
        frame: Where the canvas comes from.
        classes: Categories as a header keeps them.
        min_score: Least score.
    """
    corners = np.clip(found["boxes"] * np.tile(frame.scale, 2), 0, [frame.width, frame.height] * 2)
    entries = []
    for row in np.argsort(-found["scores"], kind="stable").tolist():
        if found["scores"][row] < min_score:
            break  # a mask only lowers it
        entry: dict[str, Any] | None
        entry = plain = _entry(task, found, row, corners[row], classes[found["labels"][row]], frame)
        if "masks" in found:
            entry = _with_mask(plain, found["masks"][row], frame, told.constants["mask_threshold"])
        if entry is not None and entry["score"] >= min_score:
            entries.append(entry)
    entries.sort(key=lambda entry: -entry["score"])
    return _unrepeated(entries, told.constants["nms"])


def _entry(
    task: str, found: Tensors, row: int, box: Float[ndarray, " 4"], category: Any, frame: Frame
) -> dict[str, Any]:
    x0, y0, x1, y1 = box.tolist()
    entry = {
        "task": task,
        "category": category["name"],
        "category_id": category["id"],
        "score": float(found["scores"][row]),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }
    if "keypoints" in found and category["keypoints"] is not None:
        points = found["keypoints"][row, : len(category["keypoints"]["names"])].copy()
        points[:, :2] *= frame.scale
        entry["keypoints"] = points.ravel().tolist()
    return entry


def _with_mask(
    entry: dict[str, Any], logits: Float32[ndarray, "h w"], frame: Frame, threshold: float
) -> dict[str, Any] | None:
    """The entry with its mask, the mask's box, and the score that takes the mask in; None without a pixel."""
    down, along = frame.ways((logits.shape[0], logits.shape[1]))
    original = down @ logits @ along.T
    inside = original > threshold
    if not inside.any():
        return None
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
    quality = (1 / (1 + np.exp(-original[inside]))).sum() / (inside.sum() + 1e-6)
    rle = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {
        **entry,
        "score": entry["score"] * float(quality),
        "bbox": [float(side) for side in box],
        "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")},
    }


def _unrepeated(entries: list[dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Those that overlap no better one of their class by more than the threshold."""
    kept: list[dict[str, Any]] = []
    for entry in entries:
        rivals = [other for other in kept if other["category_id"] == entry["category_id"]]
        if threshold >= 1 or not any(_iou(entry["bbox"], other["bbox"]) > threshold for other in rivals):
            kept.append(entry)
    return kept


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = a[2] * a[3] + b[2] * b[3] - shared
    return shared / union if union > 0 else 0.0


def labels(scores: Float32[ndarray, " C"], classes: Sequence[Any], min_score: float) -> list[dict[str, Any]]:
    """Return the categories of one image, best first."""
    order: Int64[ndarray, " C"] = np.argsort(-scores, kind="stable")
    return [
        {"category": classes[c]["name"], "category_id": classes[c]["id"], "score": float(scores[c])}
        for c in order
        if scores[c] >= min_score
    ]


def map_values(values: Float32[ndarray, "C h w"], frame: Frame) -> Float32[ndarray, "C H W"]:
    """Return the numbers of every pixel of the original image."""
    down, along = frame.ways((values.shape[1], values.shape[2]))
    result: ndarray = down @ values @ along.T
    return result
