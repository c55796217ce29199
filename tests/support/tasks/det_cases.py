"""Predictions, targets and models of the detection tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_det.config import DetConfig
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets, make_targets
from mtvit_det.task import Detection
from mtvit_train.scenes.scene import CATEGORIES as SCENE_CATEGORIES
from mtvit_train.scenes.scene import render_scene

#: Ids that are neither places in the list nor in order.
CATEGORIES = Categories(tuple(Category(id_, f"class {id_}") for id_ in (7, 3, 90, 12)))
CANVAS = (64, 96)


def annotate(
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    is_crowd: Sequence[bool] | None = None,
    has: frozenset[str] = frozenset({"boxes"}),
) -> Annotations:
    """Return an image's boxes, xyxy in pixels."""
    count = len(boxes)
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Annotations(
        boxes=corners,
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=None,
        keypoints=None,
        is_crowd=torch.tensor(is_crowd or [False] * count, dtype=torch.bool),
        areas=(corners[:, 2:] - corners[:, :2]).prod(1),
        ids=torch.arange(count),
        has=has,
    )


def random_annotations(counts: Sequence[int], canvas: tuple[int, int] = CANVAS) -> list[Annotations]:
    """Return images with so many random boxes each."""
    size = torch.tensor([canvas[1], canvas[0]] * 2)
    images = []
    for count in counts:
        low = torch.rand(count, 2) * 0.6
        corners = torch.cat([low, low + 0.1 + torch.rand(count, 2) * 0.3], 1) * size
        labels = torch.randint(0, len(CATEGORIES), (count,))
        images.append(annotate(corners.tolist(), labels.tolist()))
    return images


def targets_of(images: Sequence[Annotations]) -> DetTargets:
    """Pad annotations."""
    return make_targets(images, CANVAS, torch.device("cpu"), torch.arange(len(CATEGORIES)), len(CATEGORIES))


def predictions(images: int, queries: int, classes: int, layers: int = 1, patches: int = 0) -> DetPredictions:
    """Return random predictions that gradients can reach, with proposals if there are patches."""
    pick = None
    if patches:
        logits = torch.randn(images, patches, classes).requires_grad_()
        boxes = (torch.rand(images, patches, 4) * 0.4 + 0.1).requires_grad_()
        pick = Pick.among(
            logits, boxes, torch.stack([torch.randperm(patches)[:queries] for _ in range(images)])
        )
    return DetPredictions(
        (torch.randn(layers, images, queries, classes) * 2).requires_grad_(),
        (torch.rand(layers, images, queries, 4) * 0.4 + 0.1).requires_grad_(),
        pick,
        CANVAS,
    )


def task(categories: Categories = CATEGORIES, **settings: Any) -> Detection:
    """Return the task with these settings, by default with queries in two blocks."""
    return Detection(DetConfig(**{"blocks": 2, **settings}), categories)


def match_of(one: Detection, found: DetPredictions, targets: DetTargets) -> Match:
    """Match as a training step does."""
    return match_all({"det": (one.cost(found, targets), targets.counts)})["det"]


def losses_of(one: Detection, found: DetPredictions, targets: DetTargets) -> dict[str, Tensor]:
    """Return the loss terms as a training step does."""
    return one.loss(found, targets, match_of(one, found, targets))


def model_of(*tasks: Any, canvas: tuple[int, int] = CANVAS, depth: int = 3) -> MultiTaskViT:
    """Return a small model of these tasks."""
    backbone = create_backbone("vit_tiny_patch16_224", canvas, options={"depth": depth})
    return MultiTaskViT(backbone, tasks, tasks[0].categories, person_canvas=(64, 48))


def scene_batch(count: int, size: int) -> tuple[Batch, Categories]:
    """Return generated scenes as one batch, with all their labels."""
    categories = Categories(
        tuple(
            Category(c["id"], c["name"], COCO_PERSON if "keypoints" in c else None) for c in SCENE_CATEGORIES
        )
    )
    scenes = [render_scene(5, index, size) for index in range(count)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2)
    annotations = []
    for scene in scenes:
        boxes = torch.from_numpy(scene.boxes_xywh)
        annotations.append(
            Annotations(
                boxes=torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1),
                labels=torch.tensor([categories.label_of_id[int(i)] for i in scene.category_ids]),
                masks=torch.from_numpy(scene.masks),
                keypoints=torch.from_numpy(scene.keypoints),
                is_crowd=torch.zeros(len(boxes), dtype=torch.bool),
                areas=torch.from_numpy(scene.masks.sum((1, 2)).astype(np.float32)),
                ids=torch.arange(len(boxes)),
                has=frozenset({"boxes", "masks", "keypoints"}),
            )
        )
    meta = tuple(ImageMeta.whole(size, size, image_id=i + 1) for i in range(count))
    return Batch(images.contiguous(), tuple(annotations), meta), categories
