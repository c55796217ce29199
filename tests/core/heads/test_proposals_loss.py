"""Queries picked from context: where gradients go, what the proposals are taught, and that they learn."""

import pytest
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Context, Pick
from mtvit_core.heads.proposals import PickedQueries, anchors, proposal_loss
from mtvit_core.structures.boxes import box_iou, cxcywh_to_xyxy
from support.models.proposal_cases import CLASSES, GRID, PATCHES, WIDTH, context, entered, source


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
