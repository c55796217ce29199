"""Shared losses against torchvision, and by hand."""

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision import ops

from mtvit_core.losses.classification import open_cross_entropy, quality_focal, sigmoid_focal


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 1.5)])
def test_focal_as_torchvision(alpha: float, gamma: float) -> None:
    logits = (torch.randn(30, 7) * 4).requires_grad_()
    targets = (torch.rand(30, 7) < 0.3).float()
    ours = sigmoid_focal(logits, targets, alpha, gamma)
    theirs = ops.sigmoid_focal_loss(logits, targets, alpha, gamma)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_focal_by_hand() -> None:
    loss = sigmoid_focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(loss, torch.tensor([0.25, 0.75]) * 0.25 * math.log(2))


def test_quality_by_hand() -> None:
    loss = quality_focal(torch.zeros(3), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(loss, torch.tensor([0.25, 0.0, 0.25]) * math.log(2))


def test_quality_of_hard_targets_is_the_unweighted_focal_loss() -> None:
    logits, targets = torch.randn(50), (torch.rand(50) < 0.5).float()
    torch.testing.assert_close(quality_focal(logits, targets), 2 * sigmoid_focal(logits, targets, alpha=0.5))


def test_quality_is_least_at_its_target() -> None:
    quality = torch.tensor([0.1, 0.4, 0.9])
    logits = quality.logit().requires_grad_()
    loss = quality_focal(logits, quality)
    torch.testing.assert_close(loss, torch.zeros(3), atol=1e-10, rtol=0)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), logits)[0], torch.zeros(3), atol=1e-6, rtol=0)
    for shift in (-1.0, 1.0):
        assert bool((quality_focal(logits + shift, quality) > loss).all())


def test_extreme_logits_give_finite_losses_and_gradients() -> None:
    for loss in (sigmoid_focal, quality_focal):
        logits = torch.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
        value = loss(logits, torch.tensor([0.0, 0.0, 1.0, 1.0])).sum()
        value.backward()
        assert logits.grad is not None
        assert bool(torch.isfinite(value))
        assert bool(torch.isfinite(logits.grad).all())


def test_open_cross_entropy_is_the_usual_one_where_all_is_annotated() -> None:
    logits, truth = 5 * torch.randn(2, 3, 7, 5), torch.randint(0, 5, (2, 3, 7))
    usual = F.cross_entropy(logits.flatten(0, 2), truth.flatten(), reduction="none").view(2, 3, 7)
    assert torch.equal(open_cross_entropy(logits, truth, torch.ones(3, 4, dtype=torch.bool)), usual)


def test_open_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[1.0, 2.0, -1.0, 0.5]] * 2]])
    annotated = torch.tensor([[True, False, True]])
    background, second = open_cross_entropy(logits, torch.tensor([[[3, 2]]]), annotated)[0, 0]
    share = logits[0, 0, 0].softmax(0)
    torch.testing.assert_close(background, -(share[3] + share[1]).log())
    torch.testing.assert_close(second, -share[2].log())
