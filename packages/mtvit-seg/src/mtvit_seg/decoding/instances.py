"""From predictions of the last layer to instances in original pixels.

The rule is that of Kerssies et al. 2025, from Cheng et al. 2022:

    the k best (query, class) pairs by p_q(c);  mask = logit > 0 at original size
    score = p_q(c) * mean of s(logit) inside the mask;  masks without a pixel are left out
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from mtvit_core.backbones.tokens import take_rows
from mtvit_core.results.on_canvas import CanvasObjects
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.masks import Rle
from mtvit_seg.decoding.extent import span_boxes
from mtvit_seg.decoding.mask_runs import find_runs
from mtvit_seg.decoding.mask_sheet import Sheet, sheets
from mtvit_seg.head import SegPredictions


def class_scores(predictions: SegPredictions) -> Float[Tensor, "B Q C"]:
    """Probability of every class, without "no object"."""
    found = predictions.probabilities
    return found[..., :-1] if predictions.pick is None else found


def decode_instances(
    predictions: SegPredictions,
    meta: Sequence[ImageMeta],
    categories: Categories,
    top_k: int,
    threshold: float = 0.0,
) -> list[Instances]:
    """Return the instances of every image, best first.

    Args:
        predictions: Of the last layer.
        meta: One entry per image.
        categories: Classes.
        top_k: Most (query, class) pairs of an image; a query may appear with several classes.
        threshold: Logit above which a pixel belongs to a mask.
    """
    best, query, labels = _best_pairs(predictions, top_k)
    results = []
    for i, at in enumerate(meta):
        distinct, row = torch.unique(query[i], return_inverse=True)
        logits = predictions.mask_logits[-1, i]
        laid = sheets(logits, distinct.tolist(), predictions.canvas, at, threshold)
        masks = FoundMasks.on(laid, threshold, (at.height, at.width))
        results.append(_instances(best[i], labels[i], query[i], row, masks, at, categories))
    return results


def _best_pairs(predictions: SegPredictions, top_k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, queries and labels of the best pairs of query and class, B M each."""
    scores = class_scores(predictions)
    classes = scores.shape[-1]
    best, index = scores.flatten(1).topk(min(top_k, scores.shape[1] * classes), 1)
    return best, index // classes, index % classes


def mask_objects(predictions: SegPredictions, top_k: int, threshold: float, nms: float) -> CanvasObjects:
    """Return the instances on the canvas; boxes are those of the masks on their map.

    Args:
        predictions: Of the last layer.
        top_k: Most (query, class) pairs of an image.
        threshold: Logit above which a pixel belongs to a mask.
        nms: Largest IoU of the boxes of two results of one class.
    """
    best, query, labels = _best_pairs(predictions, top_k)
    logits = predictions.mask_logits[-1]
    masks = take_rows(logits.flatten(2), query).view(*query.shape, *logits.shape[2:])
    inside = masks > threshold
    sides = span_boxes(inside.any(2).flatten(0, 1), inside.any(3).flatten(0, 1))
    boxes = sides.unflatten(0, query.shape)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    (rows, columns), canvas = logits.shape[2:], predictions.canvas
    pixels = boxes.new_tensor([canvas[1] / columns, canvas[0] / rows] * 2)
    return CanvasObjects(boxes * pixels, best, labels, query, canvas, nms, masks, mask_threshold=threshold)


def instances_from_canvas(
    found: CanvasObjects, meta: Sequence[ImageMeta], categories: Categories
) -> list[Instances]:
    """Return what ``decode_instances`` makes of the predictions that objects on canvases are from.

    Args:
        found: The objects.
        meta: One entry per image.
        categories: Classes.
    """
    assert found.masks is not None
    results = []
    for i, at in enumerate(meta):
        logits, rows = found.masks[i], torch.arange(found.masks.shape[1])
        laid = sheets(logits, rows.tolist(), found.canvas, at, found.mask_threshold)
        masks = FoundMasks.on(laid, found.mask_threshold, (at.height, at.width))
        one = (found.scores[i], found.labels[i], found.queries[i], rows, masks, at, categories)
        results.append(_instances(*one))
    return results


def _instances(
    scores: Tensor,
    labels: Tensor,
    query: Tensor,
    row: Tensor,
    masks: "FoundMasks",
    at: ImageMeta,
    categories: Categories,
) -> Instances:
    """Instances of one image; ``row`` is the place of each one's mask among ``masks``."""
    row = row.cpu()
    scores = scores.float().cpu() * torch.from_numpy(masks.quality)[row]
    order = scores.argsort(descending=True, stable=True)
    order = order[torch.tensor([masks.rles[i] is not None for i in row[order].tolist()], dtype=torch.bool)]
    chosen = row[order]
    return Instances(
        height=at.height,
        width=at.width,
        categories=categories,
        labels=labels.cpu()[order],
        scores=scores[order],
        boxes=torch.from_numpy(masks.boxes)[chosen],
        tasks=("seg",) * len(chosen),
        rles=tuple(masks.rles[i] for i in chosen.tolist()),
        keypoints=torch.full((len(chosen), categories.max_keypoints, 3), torch.nan),
        queries=tuple(query.cpu()[order].tolist()),
        image_id=at.image_id,
        file_name=at.file_name,
    )


@dataclass(frozen=True)
class FoundMasks:
    """Masks at original size.

    Attributes:
        quality: Mean probability of the pixels of each.
        boxes: Tight boxes x0 y0 x1 y1 in pixels.
        rles: Their run lengths; None for a mask without a pixel.
    """

    quality: Float32[ndarray, " M"]
    boxes: Float32[ndarray, "M 4"]
    rles: list[Rle | None]

    @classmethod
    def on(cls, laid: Iterable[Sheet], threshold: float, size: tuple[int, int]) -> "FoundMasks":
        """Describe the masks on all sheets, for an image of so many rows and columns."""
        quality, boxes, rles = [], [], []
        for sheet in laid:
            runs = find_runs(sheet, threshold, size)
            quality.append(runs.sums(sheet.logits.sigmoid().numpy()) / (runs.areas + 1e-6))
            boxes.append(runs.boxes)
            rles += runs.to_rles()
        return cls(np.concatenate(quality, dtype=np.float32), np.concatenate(boxes), rles)
