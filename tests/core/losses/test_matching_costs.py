"""Matching costs by other libraries and by hand."""

import torch
from torchvision import ops

from mtvit_core.losses.matching_costs import box_cost, focal_cost, softmax_cost
from mtvit_core.structures.boxes import cxcywh_to_xyxy


def test_softmax_cost_is_minus_the_probability_of_the_class() -> None:
    logits, labels = torch.randn(2, 3, 6, 5), torch.randint(0, 4, (3, 5))
    cost, chances = softmax_cost(logits, labels), logits.exp() / logits.exp().sum(-1, keepdim=True)
    for image in range(3):
        for column, label in enumerate(labels[image].tolist()):
            torch.testing.assert_close(cost[:, image, :, column], -chances[:, image, :, label])


def test_focal_cost_is_the_difference_of_two_focal_losses() -> None:
    logits, labels = torch.randn(2, 3, 6, 4), torch.randint(0, 4, (3, 5))
    cost = focal_cost(logits, labels)
    assert cost.shape == (2, 3, 6, 5)
    for image in range(3):
        for column, label in enumerate(labels[image].tolist()):
            value = logits[:, image, :, label]
            yes, no = (ops.sigmoid_focal_loss(value, torch.full_like(value, t)) for t in (1.0, 0.0))
            torch.testing.assert_close(cost[:, image, :, column], yes - no)


def test_box_cost_as_torchvision() -> None:
    boxes, truth = torch.rand(2, 3, 6, 4) * 0.4 + 0.2, torch.rand(3, 5, 4) * 0.4 + 0.2
    cost = box_cost(boxes, truth, l1=5.0, giou=2.0)
    for layer in range(2):
        for image in range(3):
            a, b = boxes[layer, image], truth[image]
            overlap = ops.generalized_box_iou(cxcywh_to_xyxy(a), cxcywh_to_xyxy(b))
            torch.testing.assert_close(cost[layer, image], 5 * torch.cdist(a, b, p=1) - 2 * overlap)


def test_class_and_box_costs_pick_the_objects_columns() -> None:
    logits, labels = torch.randn(2, 1, 4, 3), torch.tensor([[2, 0]])
    assert torch.equal(focal_cost(logits, labels)[..., 0], focal_cost(logits, labels.flip(1))[..., 1])
    boxes = torch.rand(1, 1, 4, 4)
    same = box_cost(boxes, boxes[0, :, :2], l1=1.0, giou=1.0)
    torch.testing.assert_close(same[0, 0, :2].diag(), torch.full((2,), -1.0))
