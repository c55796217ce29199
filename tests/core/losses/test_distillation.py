"""Soft objects and what students learn from them: every term by hand."""

import math

import pytest
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import Pick
from mtvit_core.losses.classification import sigmoid_focal
from mtvit_core.losses.distillation import (
    TAUGHT_SCORE,
    SoftObjects,
    binary_divergence,
    expected_focal_cost,
    expected_softmax_cost,
    soft_box_losses,
    soft_class_loss,
    soft_objects,
    soft_proposal_losses,
    soft_softmax_loss,
    soft_targets,
)
from mtvit_core.losses.global_batch import Counts
from mtvit_core.losses.matching import Match

#: Two images, three queries, two classes; the second image has one object, the first two.
PROBABILITIES = torch.tensor(
    [[[0.2, 0.1], [0.05, 0.02], [0.3, 0.9]], [[0.01, 0.02], [0.0, 0.4], [0.0, 0.0999]]]
)
BOXES = torch.tensor([0.5, 0.5, 0.4, 0.2]).expand(2, 3, 4) + 0.01 * torch.arange(3)[:, None]
#: Objects of the first image at queries 1 and 2, that of the second at query 0.
MATCH = Match(torch.tensor([[[1, 2], [0, 0]]]), torch.tensor([[[True, True], [True, False]]]))


def objects(pick: Pick | None = None) -> SoftObjects:
    """The teacher's objects of the two images."""
    return soft_objects(PROBABILITIES, BOXES, pick)


def logits_of(probabilities: Tensor) -> Tensor:
    """Logits whose sigmoid they are."""
    return torch.logit(probabilities, 1e-6)


def test_objects_are_the_confident_queries_best_first() -> None:
    found = objects()
    assert TAUGHT_SCORE == 0.1
    assert found.counts == (2, 1)
    assert found.query.tolist() == [[2, 0], [1, 0]]
    assert torch.equal(found.weight, torch.tensor([[0.9, 0.2], [0.4, 0.0]]))
    assert torch.equal(found.probabilities[0], PROBABILITIES[0, [2, 0]])
    assert found.probabilities[1, 1].tolist() == [0, 0]
    assert torch.equal(found.boxes[1], torch.stack([BOXES[1, 1], torch.zeros(4)]))
    assert torch.equal(found.of_queries(BOXES)[0], BOXES[0, [2, 0]])


def test_a_teacher_that_is_sure_of_nothing_has_no_objects_and_teaches_background() -> None:
    found = soft_objects(PROBABILITIES / 10, BOXES, None)
    match = Match(torch.zeros(1, 2, 0, dtype=torch.int64), torch.zeros(1, 2, 0, dtype=torch.bool))
    logits, boxes = torch.zeros(1, 2, 3, 2, requires_grad=True), BOXES[None].clone().requires_grad_()
    assert (found.counts, found.boxes.shape) == ((0, 0), (2, 0, 4))
    terms = soft_box_losses(boxes, found, match)
    assert [value.item() for value in terms.values()] == [0, 0]
    loss = soft_class_loss(logits, found, match)
    assert loss.item() == pytest.approx(12 * 0.25 * math.log(2), rel=1e-6)  # QFL(0.5, 0) of all


def test_matched_queries_learn_the_teachers_chances_and_the_others_nothing() -> None:
    target = soft_targets(objects(), MATCH, 3)
    assert torch.equal(target[0, 0, 1:], PROBABILITIES[0, [2, 0]])
    assert torch.equal(target[0, 1, 0], PROBABILITIES[1, 1])
    assert target.sum().item() == pytest.approx(0.3 + 0.9 + 0.2 + 0.1 + 0.4)


def test_class_loss_by_hand() -> None:
    said = torch.full((1, 2, 3, 2), 0.5)
    target = soft_targets(objects(), MATCH, 3)
    expected = ((target - 0.5) ** 2 * math.log(2)).sum() / (0.9 + 0.2 + 0.4)
    assert soft_class_loss(logits_of(said), objects(), MATCH).item() == pytest.approx(expected.item())
    assert soft_class_loss(logits_of(target), objects(), MATCH).item() == pytest.approx(0, abs=1e-9)


def test_class_loss_with_no_object_by_hand() -> None:
    columns = torch.tensor([2, 0])  # the head has a column that is no category
    logits = torch.randn(1, 2, 3, 4)
    said = logits.softmax(-1)[..., [2, 0, 3]]
    first = PROBABILITIES[0, 2] / 1.2
    rows = {
        (0, 0): (torch.tensor([0.0, 0.0, 1.0]), 0.1),
        (0, 1): (torch.tensor([*first.tolist(), 0.0]), 1.0),
        (0, 2): (torch.tensor([0.2, 0.1, 0.7]), 1.0),
        (1, 0): (torch.tensor([0.0, 0.4, 0.6]), 1.0),
        (1, 1): (torch.tensor([0.0, 0.0, 1.0]), 0.1),
        (1, 2): (torch.tensor([0.0, 0.0, 1.0]), 0.1),
    }
    total = 0.0
    for (image, query), (truth, weight) in rows.items():
        ratio = (truth / said[0, image, query]).log().nan_to_num(neginf=0.0)
        total += weight * (truth * ratio).sum().item()
    loss = soft_softmax_loss(logits, columns, objects(), MATCH, 0.1)
    assert loss.item() == pytest.approx(total / 3.3, rel=1e-5)


def test_box_losses_by_hand() -> None:
    boxes = BOXES[None].clone()
    boxes[0, 0, 1] += torch.tensor([0.1, 0.0, 0.0, 0.0])
    terms = soft_box_losses(boxes, objects(), MATCH)
    # Query 1 of image 0 against the teacher's query 2, query 2 against 0, query 0 of image 1 against 1.
    distance = 0.9 * (0.09 + 3 * 0.01) + 0.2 * 4 * 0.02 + 0.4 * 4 * 0.01
    assert terms["l1"].item() == pytest.approx(distance / 1.5, rel=1e-5)
    same = Match(torch.tensor([[[2, 0], [1, 0]]]), MATCH.matched)
    assert [v.item() for v in soft_box_losses(BOXES[None], objects(), same).values()] == [0, 0]


def test_proposals_of_the_same_patch_are_compared() -> None:
    teacher = Pick.among(logits_of(PROBABILITIES), BOXES, torch.zeros(2, 1, dtype=torch.int64))
    moved = BOXES.clone()
    moved[0, 2, 0] += 0.1  # sure: 0.9
    moved[0, 1, 0] += 0.1  # not sure: 0.05
    student = Pick.among(torch.zeros(2, 3, 2), moved, teacher.index)
    terms = soft_proposal_losses(student, teacher, 1.0)
    classes = ((PROBABILITIES - 0.5) ** 2 * math.log(2)).sum().item()
    assert terms["proposal_class"].item() == pytest.approx(classes / 1.5, rel=1e-4)
    width = BOXES[0, 2, 2].item()
    overlap = (width - 0.1) / (width + 0.1)
    assert terms["proposal_box"].item() == pytest.approx(0.9 * (2 * (1 - overlap) + 5 * 0.1) / 1.5, rel=1e-4)
    twice = soft_proposal_losses(student, teacher, 2.0)
    assert all(twice[name].item() == 2 * value.item() for name, value in terms.items())
    assert soft_proposal_losses(None, teacher, 1.0) == soft_proposal_losses(student, None, 1.0) == {}
    same = soft_proposal_losses(teacher, teacher, 1.0)
    assert [value.item() for value in same.values()] == pytest.approx([0, 0], abs=1e-6)


def test_costs_are_those_of_hard_labels_in_expectation() -> None:
    logits = torch.randn(2, 2, 3, 2)
    gain = sigmoid_focal(logits, torch.ones_like(logits)) - sigmoid_focal(logits, torch.zeros_like(logits))
    cost = expected_focal_cost(logits, objects())
    assert cost[1, 0, 1, 0].item() == pytest.approx((gain[1, 0, 1] * PROBABILITIES[0, 2]).sum().item())
    cost = expected_softmax_cost(logits, torch.tensor([0]), soft_objects(PROBABILITIES[..., 1:], BOXES, None))
    expected = -logits.softmax(-1)[0, 0, 2, 0].item() * 0.9
    assert cost[0, 0, 2, 0].item() == pytest.approx(expected)


def test_divergence_is_least_where_both_agree() -> None:
    chance = torch.tensor([0.0, 0.2, 0.5, 1.0])
    assert binary_divergence(logits_of(chance), chance).tolist() == pytest.approx([0] * 4, abs=1e-5)
    hand = 0.2 * math.log(0.2 / 0.5) + 0.8 * math.log(0.8 / 0.5)
    assert binary_divergence(torch.zeros(1), torch.tensor([0.2])).item() == pytest.approx(hand)


def test_shares_of_a_batch_give_the_mean() -> None:
    logits, found = torch.randn(1, 2, 3, 2), objects()

    def of(image: slice) -> tuple[Tensor, SoftObjects, Match]:
        part = soft_objects(PROBABILITIES[image], BOXES[image], None)
        count = max(part.counts)
        return logits[:, image], part, Match(MATCH.query[:, image, :count], MATCH.matched[:, image, :count])

    counts, parts = Counts(), [of(slice(0, 1)), of(slice(1, 2))]
    for part in parts:
        with counts.counting():
            soft_class_loss(*part)
    found_parts = []
    for part in parts:
        with counts.handing_out():
            found_parts.append(soft_class_loss(*part).item())
    assert sum(found_parts) / 2 == pytest.approx(soft_class_loss(logits, found, MATCH).item(), rel=1e-6)
