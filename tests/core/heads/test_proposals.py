"""Queries picked from context: what is picked, where gradients go, and that the proposals learn."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Context, Entry, Pick
from mtvit_core.errors import PluginError
from mtvit_core.heads.proposals import (
    ANCHOR,
    DUPLICATE_IOU,
    PRIOR,
    PickedQueries,
    anchors,
    pick_distinct,
    proposal_loss,
    sine_embedding,
)
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy

WIDTH, CLASSES = 16, 5
GRID = (6, 8)
PATCHES = GRID[0] * GRID[1]


def context(images: int = 2) -> Context:
    """Return random patches."""
    return Context(
        torch.randn(images, PATCHES, WIDTH, requires_grad=True), torch.randn(images, 1, WIDTH), GRID
    )


def source(count: int = 10) -> PickedQueries:
    """Return a source whose proposals differ from patch to patch."""
    made = PickedQueries(count, WIDTH, CLASSES)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return made


def proposals(images: int = 2) -> Pick:
    """Return random proposals that gradients can reach."""
    boxes = torch.rand(images, PATCHES, 4) * 0.4 + 0.1
    logits = torch.randn(images, PATCHES, CLASSES) * 2
    index = torch.zeros(images, 1, dtype=torch.int64)
    return Pick.among(logits.requires_grad_(), boxes.requires_grad_(), index)


def objects(images: int = 2, most: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return labels, boxes, which are valid, and which images are labelled."""
    valid = torch.arange(most) < torch.tensor([[most], [1]])[:images]
    boxes = torch.rand(images, most, 4) * 0.3 + 0.2
    labels = torch.randint(0, CLASSES, (images, most))
    return labels * valid, boxes * valid[..., None], valid, torch.ones(images, dtype=torch.bool)


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


def entered(made: PickedQueries, given: Context) -> tuple[Entry, Pick]:
    """Return what a source makes, and its proposals."""
    entry: Entry = made(given)
    assert entry.pick is not None
    return entry, entry.pick


def reached(made: PickedQueries, value: Tensor) -> set[str]:
    """Return the parts of a source that the gradient of a value reaches."""
    made.zero_grad()
    value.backward()
    return {
        name.split(".")[0] for name, p in made.named_parameters() if p.grad is not None and bool(p.grad.any())
    }


def test_tokens_teach_their_own_layers_and_neither_the_proposals_nor_the_context() -> None:
    made, given = source(), context()
    entry, _ = entered(made, given)
    assert reached(made, entry.content.square().sum()) == {"position", "group"}
    assert given.patches.grad is None


def test_proposals_teach_their_own_layers_and_the_context_but_not_the_tokens() -> None:
    made, given = source(), context()
    _, pick = entered(made, given)
    loss = torch.stack(list(proposal_loss(pick, *objects()).values())).sum()
    assert reached(made, loss) == {"norm", "score", "box"}
    assert given.patches.grad is not None
    assert bool(given.patches.grad.any())


def gradients(pick: Pick, losses: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the gradients of the sum of the losses towards logits and boxes."""
    total = torch.stack(list(losses.values())).sum()
    found = torch.autograd.grad(total, (pick.logits, pick.boxes))
    return found[0], found[1]


def test_unlabelled_images_give_exactly_no_loss_and_no_gradient() -> None:
    pick, (labels, boxes, valid, labelled) = proposals(), objects()
    losses = proposal_loss(pick, labels, boxes, valid, ~labelled)
    assert [value.item() for value in losses.values()] == [0.0, 0.0]
    for gradient in gradients(pick, losses):
        assert not bool(gradient.any())


def test_an_unlabelled_image_changes_nothing_for_the_others() -> None:
    pick, (labels, boxes, valid, labelled) = proposals(), objects()
    labelled[1] = False
    losses = proposal_loss(pick, labels, boxes, valid, labelled)
    first = Pick.among(pick.logits[:1], pick.boxes[:1], pick.index[:1])
    alone = proposal_loss(first, labels[:1], boxes[:1], valid[:1], labelled[:1])
    for name, value in losses.items():
        torch.testing.assert_close(value, alone[name])
    for gradient in gradients(pick, losses):
        assert bool(gradient[0].any())
        assert not bool(gradient[1].any())


@pytest.mark.parametrize("most", [0, 2])
def test_labelled_images_without_objects_teach_the_background(most: int) -> None:
    pick = proposals()
    labels, boxes = torch.zeros(2, most, dtype=torch.int64), torch.zeros(2, most, 4)
    valid, labelled = torch.zeros(2, most, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    losses = proposal_loss(pick, labels, boxes, valid, labelled)
    towards_logits, towards_boxes = gradients(pick, losses)
    assert losses["proposal_class"] > 0
    assert losses["proposal_box"].item() == 0
    assert bool((towards_logits > 0).all())
    assert not bool(towards_boxes.any())


def test_padding_changes_nothing() -> None:
    pick, (labels, boxes, valid, labelled) = proposals(), objects()
    padded = (
        torch.cat([labels, torch.zeros(2, 4, dtype=torch.int64)], 1),
        torch.cat([boxes, torch.zeros(2, 4, 4)], 1),
        torch.cat([valid, torch.zeros(2, 4, dtype=torch.bool)], 1),
    )
    short, long = proposal_loss(pick, labels, boxes, valid, labelled), proposal_loss(pick, *padded, labelled)
    for name, value in short.items():
        torch.testing.assert_close(long[name], value)


def test_only_patches_near_an_object_are_taught_its_box() -> None:
    boxes = anchors(GRID, torch.zeros(0))[None].clone().requires_grad_()
    pick = Pick.among(
        torch.zeros(1, PATCHES, CLASSES, requires_grad=True), boxes, torch.zeros(1, 1, dtype=torch.int64)
    )
    target = torch.tensor([[[0.2, 0.3, 0.2, 0.2]]])
    everything = torch.ones(1, 1, dtype=torch.bool)
    losses = proposal_loss(pick, torch.tensor([[2]]), target, everything, everything[0])
    towards_logits, towards_boxes = gradients(pick, losses)
    taught = towards_boxes[0].any(-1)
    assert 1 <= int(taught.sum()) <= 10
    assert bool(((boxes[0, taught, :2] - target[0, 0, :2]).abs() < 0.2).all())
    raised = (towards_logits[0] < 0).nonzero()
    assert set(raised[:, 1].tolist()) == {2}
    assert bool(taught[raised[:, 0]].all())


@pytest.mark.parametrize("side", [1e-4, 1e-2, 1.0])
def test_every_object_has_a_teacher_however_small(side: float) -> None:
    boxes = anchors(GRID, torch.zeros(0))[None].clone().requires_grad_()
    pick = Pick.among(
        torch.full((1, PATCHES, CLASSES), -5.0, requires_grad=True),
        boxes,
        torch.zeros(1, 1, dtype=torch.int64),
    )
    everything = torch.ones(1, 1, dtype=torch.bool)
    target = torch.tensor([[[0.41, 0.57, side, side]]])
    losses = proposal_loss(pick, torch.tensor([[1]]), target, everything, everything[0])
    towards_logits, towards_boxes = gradients(pick, losses)
    assert bool((towards_logits[..., 1] < 0).any())
    assert bool(towards_boxes.any())
    assert bool(torch.isfinite(towards_boxes).all())


def test_the_order_of_objects_changes_nothing() -> None:
    """Not even where they contend for the same patch."""
    pick = proposals(1)
    boxes = torch.tensor([[[0.5, 0.5, 0.3, 0.3], [0.5, 0.52, 0.2, 0.3], [0.48, 0.5, 0.35, 0.3]]])
    labels, everything = torch.tensor([[0, 1, 2]]), torch.ones(1, 3, dtype=torch.bool)
    losses = proposal_loss(pick, labels, boxes, everything, everything[0, :1])
    for order in ([1, 0, 2], [2, 1, 0], [1, 2, 0]):
        other = proposal_loss(pick, labels[:, order], boxes[:, order], everything, everything[0, :1])
        for name, value in losses.items():
            torch.testing.assert_close(other[name], value)


def test_degenerate_objects_give_finite_gradients() -> None:
    pick = proposals(1)
    everything = torch.ones(1, 2, dtype=torch.bool)
    target = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.3]]])
    losses = proposal_loss(pick, torch.tensor([[1, 0]]), target, everything, everything[0, :1])
    for gradient in gradients(pick, losses):
        assert bool(torch.isfinite(gradient).all())


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


def test_proposals_learn_where_objects_are() -> None:
    """Objects leave their mark on the patches they cover; after some steps the first pick lies on them."""
    made = PickedQueries(4, WIDTH, CLASSES)
    optimiser = torch.optim.AdamW(made.parameters(), lr=5e-3)
    codes = torch.randn(CLASSES, WIDTH)
    centres = anchors(GRID, torch.zeros(0))

    def draw(images: int) -> tuple[Context, Tensor, Tensor]:
        labels = torch.randint(0, CLASSES, (images, 1))
        size = torch.rand(images, 1, 2) * 0.2 + 0.25
        boxes = torch.cat([torch.rand(images, 1, 2) * (1 - size) + size / 2, size], -1)
        offset = (centres[None, :, :2] - boxes[..., :2]) / size
        inside = (offset.abs().amax(-1) < 0.5)[..., None]
        patches = 0.3 * torch.randn(images, PATCHES, WIDTH) + inside * codes[labels]
        patches[..., :4] += inside * torch.cat([offset, size.expand_as(offset) * 4], -1) * 2
        return Context(patches, patches[:, :1], GRID), labels, boxes

    def quality(images: int = 64) -> tuple[float, float]:
        given, labels, boxes = draw(images)
        with torch.no_grad():
            _, pick = entered(made, given)
        overlap = box_iou(cxcywh_to_xyxy(pick.picked_boxes[:, 0]), cxcywh_to_xyxy(boxes[:, 0]))
        right = pick.picked_logits[:, 0].argmax(-1) == labels[:, 0]
        return float(overlap.mean()), float(right.float().mean())

    before, _ = quality()
    for _ in range(100):
        given, labels, boxes = draw(16)
        _, pick = entered(made, given)
        everything = torch.ones(16, 1, dtype=torch.bool)
        losses = proposal_loss(pick, labels, boxes, everything, everything[:, 0])
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    after, right = quality()
    assert before < 0.25
    assert after > 0.45
    assert right > 0.8
