"""Results: best first, in original pixels and original ids; perfect predictions score 1."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mtvit_core.structures.boxes import xyxy_to_cxcywh
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_det.head import DetPredictions
from support.tasks.det_cases import CANVAS, CATEGORIES, annotate, predictions, task

CLASSES = len(CATEGORIES)
SIZE = torch.tensor([CANVAS[1], CANVAS[0]] * 2)


def test_pairs_of_query_and_class_best_first() -> None:
    found = predictions(2, 5, CLASSES)
    meta = [ImageMeta.whole(*CANVAS, image_id=i + 1, file_name=f"{i}.jpg") for i in range(2)]
    for top_k in (7, 100):
        results = task(top_k=top_k).decode(found, meta)
        for i, result in enumerate(results):
            scores = found.logits[0, i].sigmoid()
            expected = sorted(scores.flatten().tolist(), reverse=True)[:top_k]
            torch.testing.assert_close(result.scores, torch.tensor(expected))
            assert (result.image_id, result.file_name) == (i + 1, f"{i}.jpg")
            assert result.tasks == ("det",) * min(top_k, 5 * CLASSES)
            for label, score, box in zip(result.instances.labels, result.scores, result.boxes, strict=True):
                query = (scores[:, label] - score).abs().argmin()
                low = (found.boxes[0, i, query, :2] - found.boxes[0, i, query, 2:] / 2).clamp(0, 1)
                torch.testing.assert_close(box[:2], low * SIZE[:2])


def test_only_the_last_layer_counts() -> None:
    found = predictions(1, 5, CLASSES, layers=3)
    last = replace(found, logits=found.logits[-1:], boxes=found.boxes[-1:])
    meta = [ImageMeta.whole(*CANVAS)]
    assert torch.equal(task().decode(found, meta)[0].scores, task().decode(last, meta)[0].scores)


@pytest.mark.parametrize("variant", ["yolos", "picked"])
def test_results_are_ready_for_export(variant: str) -> None:
    found = predictions(1, 3, CLASSES + (variant == "yolos"))
    with torch.no_grad():
        result = task(variant=variant).decode(found, [ImageMeta.whole(*CANVAS, image_id=8)])[0]
    entries = result.to_coco()
    assert {entry["category_id"] for entry in entries} <= {7, 3, 90, 12}
    assert set(entries[0]) == {"id", "image_id", "category_id", "score", "bbox"}
    assert result.keypoints.shape == (len(result), 0, 3)


def perfect(boxes: Tensor, labels: Tensor, variant: str) -> DetPredictions:
    """Return predictions that say these boxes and classes with certainty, and more that say nothing."""
    queries = len(boxes) + 2
    logits = torch.full((1, 1, queries, CLASSES + (variant == "yolos")), -12.0)
    logits[0, 0, torch.arange(len(boxes)), labels] = 12.0
    if variant == "yolos":
        logits[0, 0, len(boxes) :, -1] = 12.0
    relative = torch.cat([xyxy_to_cxcywh(boxes) / SIZE, torch.full((2, 4), 0.1)])
    return DetPredictions(logits, relative[None, None], None, CANVAS)


@pytest.mark.parametrize("variant", ["yolos", "picked"])
def test_perfect_predictions_have_average_precision_one(variant: str) -> None:
    one = task(variant=variant)
    evaluator = one.evaluator()
    letterbox = Letterbox(*CANVAS)
    for image_id, (height, width) in enumerate([(480, 640), (333, 100), (64, 96), (20, 500)], start=1):
        low = torch.rand(6, 2) * 0.5
        corners = torch.cat([low, low + 0.15 + torch.rand(6, 2) * 0.3], 1) * torch.tensor([width, height] * 2)
        labels = torch.randint(0, CLASSES, (6,))
        meta = letterbox.meta(height, width, image_id=image_id)
        rows, columns = meta.content
        on_canvas = corners * torch.tensor([columns / width, rows / height] * 2)
        results = one.decode(perfect(on_canvas, labels, variant), [meta])
        evaluator.update(results, [annotate(corners.tolist(), labels.tolist())], [meta])
    scores = evaluator.compute()
    assert scores["AP"] == pytest.approx(1.0)
    assert scores["AP50"] == pytest.approx(1.0)
    assert scores["AR"] == pytest.approx(1.0)
