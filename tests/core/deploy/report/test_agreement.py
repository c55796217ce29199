"""Objects are compared by what they are, not by where they stand."""

from dataclasses import replace

import pytest
import torch

from mtvit_core.deploy.report.agreement import agreement
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances

CATEGORIES = Categories((Category(1, "cup"), Category(2, "hand")))


def result(boxes, scores, labels):
    count = len(scores)
    empty = Instances.empty(100, 100, CATEGORIES)
    return ImageResult(
        replace(
            empty,
            labels=torch.tensor(labels),
            scores=torch.tensor(scores),
            boxes=torch.tensor(boxes),
            tasks=("det",) * count,
            rles=(None,) * count,
            keypoints=torch.zeros(count, 0, 3),
        )
    )


BOXES = [[10.0, 10, 30, 30], [50, 50, 80, 90], [5, 60, 25, 80]]
MODEL = result(BOXES, [0.9, 0.8, 0.7], [0, 1, 0])


def test_the_order_of_rows_does_not_matter():
    found = agreement("det", [MODEL], [result(BOXES[::-1], [0.71, 0.8, 0.9], [0, 1, 0])])
    assert (found.objects, found.found, found.extra) == (3, 3, 0)
    assert (found.score, found.box, found.ap) == (pytest.approx(0.01), 0.0, pytest.approx(1.0))
    assert found.keypoint is None


def test_lost_and_strange_objects_are_counted():
    moved = [[10.0, 10, 30, 31], [50, 50, 80, 90], [70, 5, 90, 20]]
    found = agreement("det", [MODEL], [result(moved, [0.9, 0.8, 0.7], [0, 0, 0])])
    assert (found.objects, found.found, found.extra) == (3, 1, 2)  # one is of another class
    assert found.box == 1.0
    assert found.ap < 0.5
