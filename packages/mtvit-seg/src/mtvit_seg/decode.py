"""From predictions of the last layer to instances in original pixels.

The rule is that of Kerssies et al. 2025, from Cheng et al. 2022:

    the k best (query, class) pairs by p_q(c);  mask = logit > 0 at original size
    score = p_q(c) * mean of s(logit) inside the mask;  masks without a pixel are left out
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.categories import Categories
from mtvit_core.geometry import ImageMeta
from mtvit_core.instances import Instances
from mtvit_core.masks import Rle
from mtvit_seg.head import SegPredictions
from mtvit_seg.resize import Crop, crops
from mtvit_seg.runs import crop_runs


def class_scores(predictions: SegPredictions) -> Float[Tensor, "B Q C"]:
    """Probability of every class: softmax less "no object" for learned queries, sigmoid for picked ones."""
    logits = predictions.logits[-1]
    return logits.softmax(-1)[..., :-1] if predictions.pick is None else logits.sigmoid()


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
        masks = crops(logits, distinct.tolist(), predictions.canvas, at, threshold)
        results.append(_instances(best[i], labels[i], query[i], row, masks, at, categories))
    return results


def _instances(
    scores: Tensor,
    labels: Tensor,
    query: Tensor,
    row: Tensor,
    masks: Iterator[Crop],
    at: ImageMeta,
    categories: Categories,
) -> Instances:
    """Instances of one image; ``row`` is the place of each one's mask among ``masks``."""
    found = [_describe(crop, at) for crop in masks]
    quality = torch.tensor([mask.quality for mask in found])
    scores, row = scores.float().cpu() * quality[row.cpu()], row.cpu()
    order = scores.argsort(descending=True, stable=True)
    order = order[torch.tensor([found[i].rle is not None for i in row[order].tolist()], dtype=torch.bool)]
    chosen = [found[i] for i in row[order].tolist()]
    return Instances(
        height=at.height,
        width=at.width,
        categories=categories,
        labels=labels.cpu()[order],
        scores=scores[order],
        boxes=torch.tensor([mask.box for mask in chosen]).reshape(-1, 4),
        tasks=("seg",) * len(chosen),
        rles=tuple(mask.rle for mask in chosen),
        keypoints=torch.full((len(chosen), categories.max_keypoints, 3), torch.nan),
        queries=tuple(query.cpu()[order].tolist()),
        image_id=at.image_id,
        file_name=at.file_name,
    )


@dataclass(frozen=True)
class FoundMask:
    """A mask at original size.

    Attributes:
        quality: Mean probability of its pixels.
        box: Tight box x0 y0 x1 y1 in pixels.
        rle: Its run lengths; None where it has no pixel.
    """

    quality: float
    box: tuple[float, float, float, float]
    rle: Rle | None


def _describe(crop: Crop, at: ImageMeta) -> FoundMask:
    runs = crop_runs(crop.inside, crop.top, crop.left, at.height, at.width)
    if runs is None:
        return FoundMask(0.0, (0.0, 0.0, 0.0, 0.0), None)
    # A product with zeros and ones is four times as fast as picking the pixels.
    inside = torch.from_numpy(crop.logits).sigmoid().numpy() * crop.inside
    quality = float(inside.sum()) / (runs.area + 1e-6)
    return FoundMask(quality, runs.box, runs.to_rle())
