"""Correcting a box by what lies in it, and learning that from boxes near the truth."""

import pytest
import torch

from mtvit_core.heads.roi_cascade import BoundCascade, RoICascade
from mtvit_core.losses.denoising import (
    NOISED,
    SHIFT,
    STRETCH,
    denoising_losses,
    noised_box_loss,
    noised_boxes,
    noised_weight,
)
from mtvit_core.structures.boxes import apply_deltas, box_iou, cxcywh_to_xyxy

TRUTH = torch.tensor([[[0.3, 0.4, 0.2, 0.3], [0.6, 0.5, 0.5, 0.4]], [[0.5, 0.5, 0.1, 0.1], [0.0] * 4]])
LABELS = torch.tensor([[2, 0], [1, 0]])
VALID = torch.tensor([[True, True], [True, False]])


def drawn_reader(outputs: int = 3) -> RoICascade:
    torch.manual_seed(0)
    reader = RoICascade(8, outputs)
    for value in reader.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return reader


def patches(layers: int = 2, images: int = 2) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(images, 8, 6, 6) for _ in range(layers))


def test_an_untrained_reader_leaves_boxes_and_says_zero() -> None:
    boxes, said = RoICascade(8, 3)(patches()[0], TRUTH)
    assert torch.equal(boxes, TRUTH)
    assert torch.equal(said, torch.zeros(2, 2, 3))


def test_what_is_said_is_read_in_the_corrected_box() -> None:
    reader, (patch, _) = drawn_reader(), patches()
    boxes, said = reader(patch, TRUTH)
    cells = reader.cells(patch)
    assert torch.equal(boxes, apply_deltas(TRUTH, reader.correct(cells, TRUTH)))
    assert torch.equal(said, reader.say(cells, boxes))
    assert not torch.allclose(said, reader.say(cells, TRUTH))


def test_every_depth_is_read_from_its_own_patches() -> None:
    reader, layers = drawn_reader(), patches()
    boxes, said = BoundCascade(reader, layers).of(TRUTH)
    for depth, patch in enumerate(layers):
        alone = reader(patch, TRUTH)
        assert torch.equal(boxes[depth], alone[0])
        assert torch.equal(said[depth], alone[1])


def test_what_is_said_moves_no_box_and_a_corrected_box_moves_the_one_before() -> None:
    reader, boxes = drawn_reader(), TRUTH.clone().requires_grad_()
    corrected, said = reader(patches()[0], boxes)
    said.sum().backward(retain_graph=True)
    assert boxes.grad is None
    assert all(value.grad is None for value in reader.correct.parameters())
    corrected.sum().backward()
    assert boxes.grad is not None
    assert (boxes.grad[0].abs() > 0).all()


def test_noised_boxes_lie_all_around_their_object_some_closer_than_others() -> None:
    near = noised_boxes(TRUTH).view(2, 2, NOISED, 4)
    truth = TRUTH[:, :, None]
    assert not near[1, 1].any()
    offset = (near[..., :2] - truth[..., :2])[VALID] / truth[..., 2:].expand_as(near[..., 2:])[VALID]
    stretch = (near[..., 2:] / truth[..., 2:])[VALID].log()
    assert near.shape[2] == len(offset[0]) == NOISED
    for noise, limit in ((offset, SHIFT), (stretch, STRETCH)):
        growing = limit * torch.arange(1, NOISED + 1)[:, None] / NOISED
        assert (noise.abs() <= growing + 1e-6).all()
        assert (noise.amin((0, 1)) < -limit / 3).all()
        assert (noise.amax((0, 1)) > limit / 3).all()
    overlap = box_iou(cxcywh_to_xyxy(near), cxcywh_to_xyxy(truth).expand_as(near))[VALID]
    assert overlap[:, 0].min() > 0.8
    assert 0.2 < overlap.min() < 0.5


def test_noises_are_those_of_the_object_in_every_pass_and_share_of_a_batch() -> None:
    near = noised_boxes(TRUTH)
    assert torch.equal(near, noised_boxes(TRUTH))
    assert torch.equal(near[1:, :NOISED], noised_boxes(TRUTH[1:, :1]))
    first, other = noised_boxes(torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5034, 0.2, 0.2]]])).chunk(2, 1)
    assert (first - other).abs()[..., 1].median() > 0.01


def test_losses_are_means_over_the_boxes_of_an_object() -> None:
    reading = BoundCascade(RoICascade(8, 3), patches())  # leaves boxes as they are, finds all classes alike
    with torch.no_grad():
        found = denoising_losses(*reading.of(noised_boxes(TRUTH)), LABELS, TRUTH, VALID)
    assert float(found["denoising_class"]) == pytest.approx(2 * torch.tensor(3.0).log().item(), rel=1e-6)
    near = noised_boxes(TRUTH).expand(2, -1, -1, -1)
    by_hand = noised_box_loss(near, TRUTH, noised_weight(VALID))
    assert torch.equal(found["denoising_box"], by_hand)
    exact = TRUTH.repeat_interleave(NOISED, 1).expand(2, -1, -1, -1)
    assert float(noised_box_loss(exact, TRUTH, noised_weight(VALID))) == pytest.approx(0, abs=1e-6)
    assert float(by_hand) > 1


@pytest.mark.parametrize("objects", [0, 2])
def test_without_objects_there_is_no_loss_and_no_gradient(objects: int) -> None:
    reader = drawn_reader()
    nothing = torch.zeros(2, objects, dtype=torch.bool)
    labels, truth = LABELS[:, :objects], TRUTH[:, :objects]
    read = BoundCascade(reader, patches()).of(noised_boxes(truth))
    found = denoising_losses(*read, labels, truth, nothing)
    sum(found.values()).backward()
    assert [value.item() for value in found.values()] == [0, 0]
    assert all(value.grad is not None and not value.grad.any() for value in reader.parameters())


def squares_and_bars(images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps of 12 x 12 patches with a square (class 0) or a flat bar (class 1) somewhere; boxes; classes."""
    maps, boxes, labels = torch.zeros(images, 8, 12, 12), torch.zeros(images, 1, 4), torch.arange(images) % 2
    for image, label in enumerate(labels.tolist()):
        high, wide = (4, 4) if label == 0 else (2, 6)
        top, left = torch.randint(1, 11 - high, ()).item(), torch.randint(1, 11 - wide, ()).item()
        maps[image, 0, top : top + high, left : left + wide] = 1
        boxes[image, 0] = torch.tensor([left + wide / 2, top + high / 2, wide, high]) / 12
    return maps, boxes, labels[:, None]


def test_a_reader_learns_to_correct_and_to_name_from_noised_boxes_alone() -> None:
    torch.manual_seed(0)
    reader, valid = RoICascade(8, 2), torch.ones(16, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam(reader.parameters(), 3e-3)
    for _ in range(70):
        maps, truth, labels = squares_and_bars(16)
        read = BoundCascade(reader, (maps,)).of(noised_boxes(truth))
        found = denoising_losses(*read, labels, truth, valid)
        optimizer.zero_grad()
        (found["denoising_box"] + found["denoising_class"]).backward()
        optimizer.step()
    maps, truth, labels = squares_and_bars(16)
    off = apply_deltas(truth, torch.tensor([0.2, -0.15, 0.2, 0.1]).expand(16, 1, 4))
    with torch.no_grad():
        boxes, said = reader(maps, off)
    before, after = (box_iou(cxcywh_to_xyxy(b), cxcywh_to_xyxy(truth)) for b in (off, boxes))
    assert after.mean() > before.mean() + 0.15
    assert torch.equal(said.argmax(-1), labels)
