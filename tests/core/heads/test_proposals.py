"""Queries picked from context: what is picked, what a query carries, and anchors."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from mtvit_core.errors import PluginError
from mtvit_core.heads.proposals import (
    ANCHOR,
    DUPLICATE_IOU,
    PRIOR,
    PickedQueries,
    anchors,
    pick_distinct,
    sine_embedding,
)
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy
from support.models.proposal_cases import CLASSES, GRID, PATCHES, WIDTH, context, entered, source


def rows(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows of every image that an index names."""
    return torch.stack([value[at] for value, at in zip(values, index, strict=True)])


def distinct(boxes: Tensor, scores: Tensor) -> Tensor:
    """Which boxes no better one overlaps, by the definition of non-maximum suppression."""
    kept = torch.zeros(len(boxes), dtype=torch.bool)
    for i in scores.argsort(descending=True).tolist():
        others = boxes[kept]
        kept[i] = not bool((box_iou(boxes[i].expand_as(others), others) > DUPLICATE_IOU).any())
    return kept


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 100.0])
def test_duplicates_are_picked_after_all_distinct_patches_and_the_best_come_first(sharpness: float) -> None:
    boxes = torch.rand(3, 12, 4) * 0.3 + 0.2
    boxes = boxes.repeat_interleave(4, 1) + torch.randn(3, 48, 4) * 0.005
    logits = torch.randn(3, 48, CLASSES) * sharpness
    order, found = pick_distinct(logits, partial(rows, boxes), 48)
    assert torch.equal(found, rows(boxes, order))
    for image in range(3):
        scores = logits[image].max(-1).values
        is_distinct = distinct(cxcywh_to_xyxy(boxes[image]), scores)
        assert 5 < int(is_distinct.sum()) < 40
        picked = order[image]
        assert sorted(picked.tolist()) == list(range(48))
        count = int(is_distinct.sum())
        assert bool(is_distinct[picked[:count]].all())
        for part in (picked[:count], picked[count:]):
            assert bool((scores[part].diff() <= 0).all())


def test_images_are_picked_apart() -> None:
    logits, boxes = torch.randn(3, 20, CLASSES), torch.rand(3, 20, 4) * 0.2 + 0.3
    together = pick_distinct(logits, partial(rows, boxes), 7)
    for i in range(3):
        alone = pick_distinct(logits[i : i + 1], partial(rows, boxes[i : i + 1]), 7)
        assert all(torch.equal(a[i : i + 1], b) for a, b in zip(together, alone, strict=True))


def test_the_same_image_gives_the_same_patches_wherever_it_stands_in_a_batch() -> None:
    boxes = torch.rand(40, 4) * 0.3 + 0.2
    beside = boxes.clone()  # of the same size and moved, so that the overlap is almost the limit
    beside[:, 0] += boxes[:, 2] * (1 - DUPLICATE_IOU) / (1 + DUPLICATE_IOU) * (1 + 1e-6 * torch.randn(40))
    boxes = torch.cat([boxes, beside]).expand(16, -1, -1)
    logits = torch.randn(1, 80, CLASSES).expand(16, -1, -1)
    for count in (10, 70):
        order, _ = pick_distinct(logits, partial(rows, boxes), count)
        assert torch.equal(order, order[:1].expand_as(order))


@pytest.mark.parametrize("objects", [20, 3])
def test_few_patches_are_searched_where_they_hold_enough_and_all_else(objects: int) -> None:
    boxes = torch.rand(2, objects, 4) * 0.3 + 0.2
    boxes = boxes.repeat(1, 120 // objects, 1) + torch.randn(2, 120, 4) * 1e-4
    logits = torch.randn(2, 120, CLASSES)
    searched: list[int] = []

    def boxes_of(index: Tensor) -> Tensor:
        searched.append(index.shape[1])
        return rows(boxes, index)

    order, _ = pick_distinct(logits, boxes_of, 5)
    assert searched == ([10] if objects == 20 else [10, 30])
    best = logits.amax(-1).topk(40, 1).indices
    for image in range(2):
        scores = logits[image].amax(-1)[best[image]]
        is_distinct = distinct(cxcywh_to_xyxy(boxes[image, best[image]]), scores)
        wanted = torch.cat([best[image][is_distinct], best[image][~is_distinct]])[:5]
        assert torch.equal(order[image], wanted)


def test_without_readers_of_proposals_the_same_patches_are_picked() -> None:
    made, given = source(), context()
    (whole, pick), (lean, alone) = entered(made, given), entered(made, replace(given, proposals=False))
    assert torch.equal(alone.index, pick.index)
    torch.testing.assert_close(alone.picked_boxes, pick.picked_boxes)
    torch.testing.assert_close(lean.content, whole.content)
    with pytest.raises(PluginError, match="picked_boxes"):
        _ = alone.boxes


def test_a_query_carries_what_it_was_picked_for() -> None:
    entry = source()(context())
    pick = entry.pick
    assert pick is not None
    assert entry.content.shape == (2, 10, WIDTH)
    for image in range(2):
        rows = pick.index[image]
        assert torch.equal(pick.picked_boxes[image], pick.boxes[image, rows])
        assert torch.equal(pick.picked_logits[image], pick.logits[image, rows])


def test_a_small_image_gives_all_its_patches() -> None:
    entry = source(100)(context())
    assert entry.pick is not None
    assert entry.content.shape == (2, PATCHES, WIDTH)
    assert entry.pick.index.sort(1).values.tolist() == [list(range(PATCHES))] * 2


def test_an_untrained_source_proposes_its_anchors_with_the_prior() -> None:
    made = PickedQueries(4, WIDTH, CLASSES)
    torch.nn.init.zeros_(made.score.weight)
    pick = made(context()).pick
    assert pick is not None
    torch.testing.assert_close(pick.logits.sigmoid(), torch.full((2, PATCHES, CLASSES), PRIOR))
    torch.testing.assert_close(pick.boxes[1], anchors(GRID, torch.zeros(0)))


def test_anchors_stand_on_the_patch_centres_row_by_row() -> None:
    found = anchors((2, 4), torch.zeros(0)).tolist()
    assert found == [[(c + 0.5) / 4, (r + 0.5) / 2, ANCHOR, ANCHOR] for r in range(2) for c in range(4)]


def test_sine_embedding_tells_values_apart() -> None:
    values = torch.linspace(0, 1, 101)[:, None].expand(-1, 4)
    coded = sine_embedding(values)
    assert coded.shape == (101, 4 * 32)
    assert bool((coded.abs() <= 1).all())
    distance = torch.cdist(coded, coded) + torch.eye(101) * 9
    assert distance.min() > 0.1
    whole = sine_embedding(torch.tensor([0.25, 0.5, 0.0, 1.0])).view(4, 32)
    torch.testing.assert_close(whole[0, [0, 16]], torch.tensor([0.5**0.5, 0.5**0.5]))
    torch.testing.assert_close(whole[2], torch.cat([torch.zeros(16), torch.ones(16)]))
