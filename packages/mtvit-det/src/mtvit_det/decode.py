"""From predictions of the last layer to objects on the canvas."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mtvit_core.results.on_canvas import CanvasObjects
from mtvit_core.structures.boxes import cxcywh_to_xyxy
from mtvit_det.head import DetPredictions


def softmax_objects(predictions: DetPredictions, columns: Int64[Tensor, " C"]) -> CanvasObjects:
    """One class per token, the best but "no object"; every token gives one box (DETR's post-processing).

    Args:
        predictions: Of the last layer.
        columns: Class column of each category; columns of none are never chosen.
    """
    probabilities = predictions.logits[-1].softmax(-1)
    scores, labels = probabilities[..., columns.to(probabilities.device)].max(-1)
    if torch.compiler.is_compiling():  # elsewhere results are sorted, and equal scores keep their order
        scores, query = scores.topk(scores.shape[1], 1)
        return _objects(predictions, scores, labels.gather(1, query), query)
    query = torch.arange(scores.shape[1], device=scores.device).expand_as(labels)
    return _objects(predictions, scores, labels, query)


def sigmoid_objects(predictions: DetPredictions, top_k: int, nms: float) -> CanvasObjects:
    """The best (query, class) pairs; a query may give boxes of several classes (Deformable DETR).

    Args:
        predictions: Of the last layer.
        top_k: Most boxes of an image.
        nms: Largest IoU of two boxes of one class in the results.
    """
    classes = predictions.logits.shape[-1]
    flat = predictions.logits[-1].sigmoid().flatten(1)
    scores, index = flat.topk(min(top_k, flat.shape[1]), 1)
    return _objects(predictions, scores, index % classes, index // classes, nms)


def _objects(
    predictions: DetPredictions, scores: Float[Tensor, "B M"], labels: Tensor, query: Tensor, nms: float = 1.0
) -> CanvasObjects:
    boxes, (rows, columns) = predictions.boxes[-1], predictions.canvas
    corners = (cxcywh_to_xyxy(boxes) * boxes.new_tensor([columns, rows, columns, rows])).gather(
        1, query[..., None].expand(-1, -1, 4)
    )
    return CanvasObjects(corners, scores, labels, query, predictions.canvas, nms)
