"""From what is found on canvases to results in original pixels, the same way for every task."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from mtvit_core.errors import PluginError
from mtvit_core.heads.nms import class_nms
from mtvit_core.results.image_labels import ImageLabels
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.on_canvas import CanvasLabels, CanvasMap, CanvasObjects, OnCanvas
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.pixel_maps import DenseMap


def results_from_canvas(
    task: str, categories: Categories, found: OnCanvas, meta: Sequence[ImageMeta]
) -> list[ImageResult]:
    """Return the results of a task, one per image.

    Args:
        task: Its name.
        categories: Classes of the results.
        found: What it says of the canvases.
        meta: One entry per image.

    Raises:
        PluginError: there are masks, which a task brings back itself.
    """
    if isinstance(found, CanvasLabels):
        return [_labels(task, categories, scores, at) for scores, at in zip(found.scores, meta, strict=True)]
    if isinstance(found, CanvasMap):
        return [_map(task, categories, found, i, at) for i, at in enumerate(meta)]
    if found.masks is not None:
        raise PluginError(f"task {task!r}: it finds masks on canvases; define its `from_canvas` as well.")
    objects = [_objects(task, categories, found, i, at) for i, at in enumerate(meta)]
    return [ImageResult(class_nms(one, found.nms)) for one in objects]


def _labels(task: str, categories: Categories, scores: Tensor, at: ImageMeta) -> ImageResult:
    labels = ImageLabels.of(scores, categories)
    return replace(ImageResult.empty(at, categories), labels={task: labels})


def _map(task: str, categories: Categories, found: CanvasMap, image: int, at: ImageMeta) -> ImageResult:
    values = found.values[image].float().cpu()
    original = DenseMap(at.masks_to_original(values), found.channels)
    return replace(ImageResult.empty(at, categories), maps={task: original})


def _objects(task: str, categories: Categories, found: CanvasObjects, image: int, at: ImageMeta) -> Instances:
    scores, labels = found.scores[image].float().cpu(), found.labels[image].cpu()
    order = scores.argsort(descending=True, stable=True)
    boxes = found.boxes[image].float().cpu()[order]
    count = len(order)
    return Instances(
        height=at.height,
        width=at.width,
        categories=categories,
        labels=labels[order],
        scores=scores[order],
        boxes=at.boxes_to_original(boxes),
        tasks=(task,) * count,
        rles=(None,) * count,
        keypoints=_keypoints(categories, found, image, at, labels)[order],
        queries=tuple(found.queries[image].cpu()[order].tolist()),
        image_id=at.image_id,
        file_name=at.file_name,
    )


def _keypoints(
    categories: Categories, found: CanvasObjects, image: int, at: ImageMeta, labels: Tensor
) -> Tensor:
    if found.keypoints is None:
        return torch.full((len(labels), categories.max_keypoints, 3), torch.nan)
    keypoints = found.keypoints[image].float().cpu()
    points = torch.cat([at.points_to_original(keypoints[..., :2]), keypoints[..., 2:]], -1)
    return points.masked_fill(~_schema_table(categories)[labels][..., None], torch.nan)


def _schema_table(categories: Categories) -> Bool[Tensor, "C K"]:
    """Which keypoints every category has, padded to the most of one."""
    counts = torch.tensor([0 if c.keypoints is None else len(c.keypoints.names) for c in categories])
    return torch.arange(categories.max_keypoints) < counts[:, None]
