"""Repeats: of overlapping objects of one class the best stays."""

import pytest
import torch
from torchvision.ops import batched_nms

from mtvit_core.heads.nms import class_nms, unrepeated
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances

CATEGORIES = Categories((Category(id=1, name="cup"), Category(id=2, name="hand")))


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Instances:
    count = len(scores)
    return Instances(
        height=40,
        width=40,
        categories=CATEGORIES,
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=torch.tensor(scores),
        boxes=torch.tensor(boxes).reshape(-1, 4),
        tasks=("det",) * count,
        rles=(None,) * count,
        keypoints=torch.full((count, 0, 3), torch.nan),
        image_id=1,
        file_name="a.png",
    )


BOXES = [[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [20, 20, 30, 30]]


@pytest.mark.parametrize(
    ("threshold", "kept"), [(0.85, [0.9, 0.7, 0.2]), (0.95, [0.9, 0.7, 0.5, 0.2]), (0.0, [0.9, 0.7, 0.2])]
)
def test_the_best_of_a_class_stays(threshold: float, kept: list[float]) -> None:
    result = class_nms(found(BOXES, [0.5, 0.9, 0.7, 0.2], [0, 0, 1, 0]), threshold)
    assert result.scores.tolist() == pytest.approx(kept)


def test_a_threshold_of_one_keeps_all_in_their_order() -> None:
    all_ = found([BOXES[0]] * 3, [0.1, 0.3, 0.2], [0, 0, 0])
    assert class_nms(all_, 1.0) is all_


def test_nothing_found() -> None:
    assert len(class_nms(found([], [], []), 0.5)) == 0


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_rounds_keep_what_the_greedy_rule_keeps(threshold: float) -> None:
    centre = 100 * torch.rand(200, 2)
    half = 5 + 10 * torch.rand(200, 2)
    boxes, labels = torch.cat([centre - half, centre + half], 1), torch.randint(0, 2, (200,))
    scores = torch.linspace(1, 0, 200)
    for classes in (None, labels):
        kept = unrepeated(boxes[None], threshold, None if classes is None else classes[None])[0]
        every = torch.zeros_like(labels) if classes is None else classes
        greedy = batched_nms(boxes, scores, every, threshold).sort().values
        assert torch.equal(kept.nonzero()[:, 0], greedy)
        assert 10 < len(greedy) < 200
