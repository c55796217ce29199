"""Small batches, predictions and models for the segmentation tests."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.matching import Match, match_all
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_seg.config import SegConfig
from mtvit_seg.head import SegPredictions
from mtvit_seg.losses.targets import SegTargets
from mtvit_seg.task import Segmentation

CATEGORIES = Categories((Category(3, "cat"), Category(7, "dog"), Category(20, "sky")))
SPEC = BackboneSpec(width=24, depth=5, patch=(16, 16), canvas=(64, 96), heads=2)


def annotate(
    masks: Tensor, labels: Sequence[int], crowd: Sequence[bool] | None = None, labelled: bool = True
) -> Annotations:
    """Annotations with these masks M H W, and boxes nobody should read."""
    count = len(masks)
    return Annotations(
        boxes=torch.full((count, 4), -1.0),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=masks if labelled else None,
        keypoints=None,
        is_crowd=torch.tensor(crowd or [False] * count, dtype=torch.bool),
        areas=masks.flatten(1).sum(1).float(),
        ids=torch.arange(count),
        has=frozenset({"boxes", "masks"} if labelled else {"boxes"}),
    )


def blobs(count: int, height: int, width: int) -> Tensor:
    """Random rectangles M H W, each of at least 4 x 4 pixels."""
    masks = torch.zeros(count, height, width, dtype=torch.bool)
    for mask in masks:
        rows, columns = torch.randint(4, height // 2, ()), torch.randint(4, width // 2, ())
        top, left = torch.randint(0, height - int(rows), ()), torch.randint(0, width - int(columns), ())
        mask[top : top + rows, left : left + columns] = True
    return masks


def random_annotations(counts: Sequence[int], height: int = 64, width: int = 96) -> list[Annotations]:
    """One image per count, with that many random objects."""
    return [annotate(blobs(count, height, width), torch.randint(0, 3, (count,)).tolist()) for count in counts]


def learned(
    layers: int = 1, images: int = 1, queries: int = 6, size: tuple[int, int] = (16, 24)
) -> SegPredictions:
    """Random predictions of the eomt variant on a canvas of 4 pixels per map pixel."""
    return SegPredictions(
        logits=torch.randn(layers, images, queries, len(CATEGORIES) + 1).requires_grad_(),
        mask_logits=(3 * torch.randn(layers, images, queries, *size)).requires_grad_(),
        boxes=None,
        pick=None,
        canvas=(4 * size[0], 4 * size[1]),
    )


def picked(
    layers: int = 1, images: int = 1, queries: int = 6, size: tuple[int, int] = (16, 24)
) -> SegPredictions:
    """Random predictions of the picked variant."""
    patches = 4 * queries
    pick = Pick.among(
        torch.randn(images, patches, len(CATEGORIES)).requires_grad_(),
        torch.rand(images, patches, 4).requires_grad_(),
        torch.arange(queries).expand(images, -1),
    )
    return SegPredictions(
        logits=torch.randn(layers, images, queries, len(CATEGORIES)).requires_grad_(),
        mask_logits=(3 * torch.randn(layers, images, queries, *size)).requires_grad_(),
        boxes=torch.rand(layers, images, queries, 4).requires_grad_(),
        pick=pick,
        canvas=(4 * size[0], 4 * size[1]),
    )


def leaves(predictions: SegPredictions) -> list[Tensor]:
    """Every tensor of the predictions that the loss can pull at."""
    found = [predictions.logits, predictions.mask_logits]
    if predictions.boxes is not None and predictions.pick is not None:
        found += [predictions.boxes, predictions.pick.logits, predictions.pick.boxes]
    return found


def task(**settings: object) -> Segmentation:
    """A task of these settings."""
    return Segmentation(SegConfig.model_validate(settings), CATEGORIES)


def targets_of(
    task: Segmentation, annotations: Sequence[Annotations], canvas: tuple[int, int] = (64, 96)
) -> SegTargets:
    """Targets on the CPU."""
    return task.targets(annotations, canvas, torch.device("cpu"))


def match_of(task: Segmentation, predictions: SegPredictions, targets: SegTargets) -> Match:
    """Match as the model does."""
    return match_all({"seg": (task.cost(predictions, targets), targets.counts)})["seg"]


def losses_of(
    task: Segmentation, predictions: SegPredictions, annotations: Sequence[Annotations]
) -> dict[str, Tensor]:
    """Targets, matching and losses in one go."""
    targets = targets_of(task, annotations, predictions.canvas)
    return task.loss(predictions, targets, match_of(task, predictions, targets))


def metas(*sizes: tuple[int, int]) -> list[ImageMeta]:
    """Images of these sizes on a canvas of 64 x 96."""
    box = Letterbox(64, 96)
    return [box.meta(height, width, image_id=i + 1) for i, (height, width) in enumerate(sizes)]


def tiny_model(**settings: object) -> MultiTaskViT:
    """A four-block ViT with the segmentation task on 64 x 96 pixels, the last three blocks of queries."""
    options = {"patch_size": 8, "depth": 4, "embed_dim": 24, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options=options)
    return MultiTaskViT(
        backbone, [task(**{"queries": 10, "points": 64, "blocks": 3, **settings})], CATEGORIES
    )
