"""From predictions of the last layer to instances in original pixels.

The rule is that of Kerssies et al. 2025, from Cheng et al. 2022:

    the k best (query, class) pairs by p_q(c);  mask = logit > 0 at original size
    score = p_q(c) * mean of s(logit) inside the mask;  masks without a pixel are left out
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.categories import Categories
from mtvit_core.geometry import ImageMeta
from mtvit_core.instances import Instances
from mtvit_core.masks import Rle, encode_rle
from mtvit_seg.extent import mask_boxes
from mtvit_seg.head import SegPredictions

#: Bytes that upscaled masks of one image may take at a time.
BUDGET = 64 * 2**20


def at_original(
    logits: Float[Tensor, "Q h w"], canvas: tuple[int, int], meta: ImageMeta, budget: int = BUDGET
) -> Iterator[Float[Tensor, "Q H W"]]:
    """Resize mask logits to the canvas, cut its padding off, and resize to the original image, in parts.

    Args:
        logits: Masks of one image.
        canvas: Rows and columns of the canvas.
        meta: The original image.
        budget: Bytes that the resized masks of one step may take; at least one mask is done.

    Yields:
        Consecutive masks at original size.
    """
    bytes_each = 4 * (canvas[0] * canvas[1] + meta.height * meta.width)
    for part in torch.split(logits, max(1, budget // bytes_each)):
        on_canvas = F.interpolate(part[None], size=canvas, mode="bilinear", align_corners=False)[0]
        yield meta.masks_to_original(on_canvas)


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
        masks = at_original(predictions.mask_logits[-1, i, distinct], predictions.canvas, at)
        results.append(_instances(best[i], labels[i], row, masks, at, categories, threshold))
    return results


def _instances(
    scores: Tensor,
    labels: Tensor,
    row: Tensor,
    masks: Iterator[Float[Tensor, "Q H W"]],
    at: ImageMeta,
    categories: Categories,
    threshold: float,
) -> Instances:
    """Instances of one image; ``row`` is the place of each one's mask among ``masks``."""
    quality, boxes, rles = _describe(masks, threshold)
    scores = (scores * quality[row]).cpu()
    row = row.cpu()
    order = scores.argsort(descending=True, stable=True)
    order = order[torch.tensor([rles[i] is not None for i in row[order].tolist()], dtype=torch.bool)]
    return Instances(
        height=at.height,
        width=at.width,
        categories=categories,
        labels=labels.cpu()[order],
        scores=scores[order].float(),
        boxes=boxes.cpu()[row[order]],
        tasks=("seg",) * len(order),
        rles=tuple(rles[i] for i in row[order].tolist()),
        keypoints=torch.full((len(order), categories.max_keypoints, 3), torch.nan),
        image_id=at.image_id,
        file_name=at.file_name,
    )


def _describe(
    masks: Iterator[Float[Tensor, "Q H W"]], threshold: float
) -> tuple[Float[Tensor, " Q"], Float[Tensor, "Q 4"], list[Rle | None]]:
    """Quality, box and run lengths of every mask; None for masks without a pixel."""
    quality, boxes, rles = [], [], []
    for logits in masks:
        inside: Bool[Tensor, "Q H W"] = logits > threshold
        area = inside.sum((1, 2))
        quality.append((logits.sigmoid() * inside).sum((1, 2)) / (area + 1e-6))
        boxes.append(mask_boxes(inside))
        planes = zip(inside.cpu().numpy(), area.tolist(), strict=True)
        rles += [encode_rle(plane) if pixels else None for plane, pixels in planes]
    return torch.cat(quality), torch.cat(boxes), rles
