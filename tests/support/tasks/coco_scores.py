"""What an evaluator in COCO's measures is given, and what it scores by both engines alike."""

import json
import math

import numpy as np
import pytest
import torch

from mtvit_core.evaluation.coco_evaluator import CocoEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema

HAS = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}
CATEGORIES = Categories((Category(3, "cup"), Category(7, "person", COCO_PERSON)))
BOX, OTHER = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0]
HAND = KeypointSchema(names=("thumb", "palm"), sigmas=(0.05, 0.2))


def meta(image_id: int, height: int = 100, width: int = 100) -> ImageMeta:
    """An image that is its own canvas."""
    return ImageMeta(
        height, width, (height, width), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), image_id, f"{image_id}.jpg"
    )


def hold_to_pycocotools(evaluator: CocoEvaluator) -> None:
    """Both engines give the same curves, scores and details."""
    told = []
    for engine in ("pycocotools", "hotcoco"):
        evaluator.use_engine(engine)
        told.append((evaluator._evaluated(), evaluator.compute(), evaluator.details(0.3)))
    (curves, scores, details), (ours, our_scores, our_details) = told
    np.testing.assert_allclose(ours.precision, curves.precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.recall, curves.recall, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(ours.thresholds, curves.thresholds)
    assert (ours.areas, ours.categories) == (curves.areas, curves.categories)
    assert our_scores == pytest.approx(scores, abs=1e-9, nan_ok=True)
    assert json.dumps(our_details.to_json()) == json.dumps(details.to_json())


def truth(
    boxes: list[list[float]], labels: list[int] | None = None, crowd: tuple[int, ...] = (), has: str = "boxes"
) -> Annotations:
    """Annotations of these boxes, with all keypoints labelled."""
    count = len(boxes)
    corners = torch.tensor(boxes).reshape(-1, 4)
    points = torch.zeros(count, 17, 3)
    points[..., 0] = corners[:, :1] + torch.arange(17)
    points[..., 1] = corners[:, 1:2]
    points[..., 2] = 2
    return Annotations(
        boxes=corners,
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        masks=None,
        keypoints=points,
        is_crowd=torch.tensor([i in crowd for i in range(count)], dtype=torch.bool),
        areas=(corners[:, 2:] - corners[:, :2]).prod(1),
        ids=torch.arange(count),
        has=frozenset({has}),
    )


def found(
    boxes: list[list[float]],
    scores: list[float],
    labels: list[int] | None = None,
    keypoints: torch.Tensor | None = None,
    categories: Categories = CATEGORIES,
) -> Instances:
    """Results of these boxes."""
    count = len(boxes)
    return Instances(
        height=100,
        width=100,
        categories=categories,
        labels=torch.tensor(labels or [0] * count, dtype=torch.int64),
        scores=torch.tensor(scores),
        boxes=torch.tensor(boxes).reshape(-1, 4),
        tasks=("mine",) * count,
        rles=(None,) * count,
        keypoints=torch.full((count, 17, 3), math.nan) if keypoints is None else keypoints,
    )


def scored(
    pairs: list[tuple[Instances, Annotations]], kind: str = "bbox", categories: Categories = CATEGORIES
) -> CocoEvaluator:
    """An evaluator that has seen these images, by either engine."""
    evaluator = CocoEvaluator("mine", kind, categories)
    evaluator.update(
        [ImageResult(p[0]) for p in pairs], [p[1] for p in pairs], [meta(i) for i in range(len(pairs))]
    )
    hold_to_pycocotools(evaluator)
    return evaluator
