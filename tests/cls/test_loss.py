"""Losses of image labels equal torch's own, and leave out what nobody knows."""

import pytest
import torch
from torch.nn import functional as F

from mtvit_cls.loss import ClsTargets, binary_cross_entropy, cross_entropy

LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([3, 0, 4, 1])


def of(shares: torch.Tensor, known: torch.Tensor | None = None) -> ClsTargets:
    known = torch.ones_like(shares, dtype=torch.bool) if known is None else known
    return ClsTargets(shares, known, torch.ones(len(shares), dtype=torch.bool), (1,) * len(shares))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    ours = cross_entropy(LOGITS, of(F.one_hot(CLASSES, 5).float()), smoothing)
    torch.testing.assert_close(ours, F.cross_entropy(LOGITS, CLASSES, label_smoothing=smoothing))


def test_cross_entropy_of_mixed_images_is_mixed() -> None:
    other = CLASSES.roll(1)
    mixed = 0.7 * F.one_hot(CLASSES, 5) + 0.3 * F.one_hot(other, 5)
    expected = 0.7 * F.cross_entropy(LOGITS, CLASSES) + 0.3 * F.cross_entropy(LOGITS, other)
    torch.testing.assert_close(cross_entropy(LOGITS, of(mixed), 0.0), expected)


def test_cross_entropy_runs_over_known_classes() -> None:
    known = torch.ones(4, 5, dtype=torch.bool)
    known[:, 2] = False
    kept = [0, 1, 3, 4]
    classes = torch.tensor([kept.index(c) for c in CLASSES.tolist()])
    expected = F.cross_entropy(LOGITS[:, kept], classes, label_smoothing=0.1)
    ours = cross_entropy(LOGITS, of(F.one_hot(CLASSES, 5).float(), known), 0.1)
    torch.testing.assert_close(ours, expected)


def test_an_image_without_a_class_costs_nothing() -> None:
    shares = F.one_hot(CLASSES, 5).float()
    shares[1:] = 0
    logits = LOGITS.clone().requires_grad_()
    loss = cross_entropy(logits, of(shares), 0.1)
    loss.backward()
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS[:1], CLASSES[:1], label_smoothing=0.1))
    assert logits.grad is not None
    assert not logits.grad[1:].any()


def test_binary_cross_entropy_is_torchs() -> None:
    shares = (LOGITS > 0.3).float()
    expected = F.binary_cross_entropy_with_logits(LOGITS, shares * 0.9 + 0.05)
    torch.testing.assert_close(binary_cross_entropy(LOGITS, of(shares), 0.1), expected)
