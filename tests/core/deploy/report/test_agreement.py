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


def test_weak_objects_beside_the_best_of_an_unsure_model_are_no_mistakes():
    """Twelve objects, surer in one image than in the other; ten of each are compared."""
    boxes = [[8.0 * i, 10, 8.0 * i + 7, 30] for i in range(12)]
    weak, weaker = ([top - 0.001 * i for i in range(12)] for top in (0.2, 0.1))
    both = [result(boxes, weak, [0] * 12), result(boxes, weaker, [0] * 12)]
    found = agreement("det", both, both)
    assert (found.objects, found.found, found.ap) == (20, 20, pytest.approx(1.0))
    sure = result([*boxes[:10], [0.0, 50, 50, 90]], [*weak[:10], 0.9], [0] * 11)
    assert agreement("det", both, [sure, both[1]]).ap < 0.99  # a sure one is
