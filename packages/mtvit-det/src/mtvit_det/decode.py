"""From predictions of the last layer to results in original pixels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.structures.boxes import cxcywh_to_xyxy
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_det.head import DetPredictions


def decode_softmax(
    predictions: DetPredictions,
    meta: Sequence[ImageMeta],
    categories: Categories,
    columns: Int64[Tensor, " C"],
) -> list[Instances]:
    """One class per token, the best but "no object"; every token gives one box (DETR's post-processing).

    Args:
        predictions: Of the last layer.
        meta: One entry per image.
        categories: Classes.
        columns: Class column of each category; columns of none are never chosen.
    """
    probabilities = predictions.logits[-1].softmax(-1)
    scores, labels = probabilities[..., columns.to(probabilities.device)].max(-1)
    query = torch.arange(scores.shape[1], device=scores.device).expand_as(labels)
    return _instances(predictions, scores, labels, query, meta, categories)


def decode_sigmoid(
    predictions: DetPredictions,
    meta: Sequence[ImageMeta],
    categories: Categories,
    top_k: int,
) -> list[Instances]:
    """The best (query, class) pairs; a query may give boxes of several classes (Deformable DETR)."""
    classes = predictions.logits.shape[-1]
    flat = predictions.logits[-1].sigmoid().flatten(1)
    scores, index = flat.topk(min(top_k, flat.shape[1]), 1)
    return _instances(predictions, scores, index % classes, index // classes, meta, categories)


def _instances(
    predictions: DetPredictions,
    scores: Float[Tensor, "B kept"],
    labels: Tensor,
    query: Tensor,
    meta: Sequence[ImageMeta],
    categories: Categories,
) -> list[Instances]:
    boxes, (rows, columns) = predictions.boxes[-1], predictions.canvas
    corners = (cxcywh_to_xyxy(boxes) * boxes.new_tensor([columns, rows, columns, rows])).gather(
        1, query[..., None].expand(-1, -1, 4)
    )
    results = []
    for image, at in enumerate(meta):
        order = scores[image].argsort(descending=True, stable=True)
        count = len(order)
        results.append(
            Instances(
                height=at.height,
                width=at.width,
                categories=categories,
                labels=labels[image, order].cpu(),
                scores=scores[image, order].float().cpu(),
                boxes=at.boxes_to_original(corners[image, order].float()).cpu(),
                tasks=("det",) * count,
                rles=(None,) * count,
                keypoints=torch.full((count, categories.max_keypoints, 3), torch.nan),
                queries=tuple(query[image, order].tolist()),
                image_id=at.image_id,
                file_name=at.file_name,
            )
        )
    return results
