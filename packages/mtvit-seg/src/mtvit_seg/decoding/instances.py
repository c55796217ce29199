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

from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.masks import Rle
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
    scores = class_scores(predictions)
    classes = scores.shape[-1]
    best, index = scores.flatten(1).topk(min(top_k, scores[0].numel()), 1)
    query, labels = index // classes, index % classes
    results = []
    for i, at in enumerate(meta):
        distinct, row = torch.unique(query[i], return_inverse=True)
        logits = predictions.mask_logits[-1, i]
        laid = sheets(logits, distinct.tolist(), predictions.canvas, at, threshold)
        masks = FoundMasks.on(laid, threshold, (at.height, at.width))
        results.append(_instances(best[i], labels[i], query[i], row, masks, at, categories))
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
