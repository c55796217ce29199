"""Small categories, people and models for the pose tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Pick
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_pose.config import PoseConfig
from mtvit_pose.onepass.head import PosePredictions
from mtvit_pose.onepass.targets import pose_targets
from mtvit_pose.task import PoseTask

PEOPLE = Categories((Category(18, "dog"), Category(1, "person", COCO_PERSON)))
HAND = KeypointSchema(("wrist", "thumb", "palm"))
TWO_SCHEMAS = Categories((Category(5, "hand", HAND), Category(7, "cup"), Category(1, "person", COCO_PERSON)))
BOTH = frozenset({"boxes", "keypoints"})
CANVAS = (64, 96)
TASK = PoseTask(PoseConfig(), PEOPLE)


def people(
    count: int,
    canvas: tuple[int, int] = (64, 96),
    categories: Categories = PEOPLE,
    has: frozenset[str] = BOTH,
    labels: Sequence[int] | None = None,
) -> Annotations:
    """People with random boxes, and labelled keypoints within them."""
    rows, columns = canvas
    size = torch.tensor([columns, rows], dtype=torch.float32)
    low = torch.rand(count, 2) * 0.5 * size
    high = low + (0.2 + 0.3 * torch.rand(count, 2)) * size
    keypoints = torch.zeros(count, categories.max_keypoints, 3)
    chosen = list(labels or [categories.keypoint_labels[-1]] * count)
    for row, label in enumerate(chosen):
        schema = categories[label].keypoints
        number = 0 if schema is None else len(schema.names)
        keypoints[row, :number, :2] = low[row] + torch.rand(number, 2) * (high[row] - low[row])
        keypoints[row, :number, 2] = torch.randint(1, 3, (number,)).float()
    return Annotations(
        boxes=torch.cat([low, high], 1),
        labels=torch.tensor(chosen, dtype=torch.int64),
        masks=None,
        keypoints=keypoints if "keypoints" in has else None,
        is_crowd=torch.zeros(count, dtype=torch.bool),
        areas=0.6 * (high - low).prod(1),
        ids=torch.arange(count),
        has=has,
    )


def predictions(
    layers: int = 1,
    images: int = 1,
    queries: int = 6,
    classes: int = 1,
    keypoints: int = 17,
    canvas: tuple[int, int] = (64, 96),
) -> PosePredictions:
    """Random predictions without refinement; every tensor wants a gradient."""
    pick = Pick.among(
        torch.randn(images, 2 * queries, classes).requires_grad_(),
        (0.2 + 0.3 * torch.rand(images, 2 * queries, 4)).requires_grad_(),
        torch.arange(queries).expand(images, -1),
    )
    return PosePredictions(
        logits=torch.randn(layers, images, queries, classes).requires_grad_(),
        boxes=(0.2 + 0.3 * torch.rand(layers, images, queries, 4)).requires_grad_(),
        points=torch.rand(layers, images, queries, keypoints, 2).requires_grad_(),
        visibility=torch.randn(layers, images, queries, keypoints).requires_grad_(),
        quality=torch.randn(layers, images, queries).requires_grad_(),
        embeddings=None,
        maps=None,
        heat=None,
        pick=pick,
        canvas=canvas,
        window=3,
        reach=0.3,
    )


def make_model(
    categories: Categories = PEOPLE, canvas: tuple[int, int] = (64, 96), **settings: Any
) -> MultiTaskViT:
    """A pose model on a tiny backbone of four blocks, the last two of queries; person crops are 64 x 48."""
    options = {"embed_dim": 48, "depth": 4, "num_heads": 3}
    backbone = create_backbone("vit_tiny_patch16_224", canvas, options=options)
    task = PoseTask(PoseConfig(**{"blocks": 2, **settings}), categories)
    return MultiTaskViT(backbone, [task], categories, person_canvas=(64, 48))


def task_of(model: MultiTaskViT) -> PoseTask:
    """The one task of a model of ``make_model``."""
    (task,) = model.task_list
    assert isinstance(task, PoseTask)
    return task


def images(count: int, canvas: tuple[int, int] = (64, 96)) -> Tensor:
    """Random pixels."""
    return torch.randint(0, 256, (count, 3, *canvas), dtype=torch.uint8)


def whole(count: int, canvas: tuple[int, int] = (64, 96), scale: float = 1.0) -> list[ImageMeta]:
    """Canvases filled by images of ``scale`` times their size."""
    to_original = (scale, 0.0, 0.0, 0.0, scale, 0.0)
    height, width = round(scale * canvas[0]), round(scale * canvas[1])
    return [ImageMeta(height, width, canvas, to_original, i + 1) for i in range(count)]


def batch(*annotations: Annotations) -> Batch:
    """Random pixels with these annotations."""
    return Batch(images(len(annotations)), annotations, tuple(whole(len(annotations))))


def perfect(annotations: Annotations, categories: Categories = PEOPLE) -> PosePredictions:
    """Predictions whose query 5 - i is exactly person i, and the others say nothing."""
    targets = pose_targets([annotations], categories, CANVAS, torch.device("cpu"))
    classes = len(categories.keypoint_labels)
    found = predictions(classes=classes, keypoints=categories.max_keypoints)
    logits = torch.full_like(found.logits, -20.0)
    boxes, points = found.boxes.detach().clone(), found.points.detach().clone()
    for i in range(len(annotations)):
        logits[0, 0, 5 - i, targets.classes[0, i]] = 20.0
        boxes[0, 0, 5 - i], points[0, 0, 5 - i] = targets.boxes[0, i], targets.points[0, i]
    return replace(found, logits=logits, boxes=boxes, points=points, quality=torch.full((1, 1, 6), 20.0))
