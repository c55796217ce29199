"""FAMO: its first steps by hand, and losses of two scales that fall at one rate."""

import pytest
import torch
from torch import nn

from mtvit_train.weighting.famo import FAMO, FAMOConfig


def test_the_first_steps_by_hand() -> None:
    weighting = FAMO(FAMOConfig(lr=0.1, decay=0.0), ("a", "b"))
    weighting({"a/x": torch.tensor(2.0), "b/x": torch.tensor(4.0)})
    # z = (1/2, 1/2), c = 1 / (1/4 + 1/8): weights c z / L
    assert weighting.factors() == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    weighting({"a/x": torch.tensor(1.0), "b/x": torch.tensor(4.0)})
    # a has fallen, b not: the slope is (+, -), and Adam's first step is of length lr
    assert weighting.xi.tolist() == pytest.approx([-0.1, 0.1], abs=1e-6)


def test_losses_of_two_scales_fall_at_one_rate() -> None:
    """On L_a = |x|^2 / 2 and L_b = 50 |y|^2 equal weights would end b at once; FAMO lets both fall alike."""
    weighting = FAMO(FAMOConfig(), ("a", "b"))
    x = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([x], lr=0.01)
    for _ in range(400):
        losses = {"a/x": x[0].square() / 2, "b/x": 50 * x[1].square()}
        optimizer.zero_grad()
        torch.stack(list(weighting(losses).values())).sum().backward()
        optimizer.step()
    a, b = x.detach().square().log().tolist()
    assert a < -0.05
    assert a == pytest.approx(b, rel=0.25)


def test_a_task_without_labels_keeps_its_place() -> None:
    weighting = FAMO(FAMOConfig(), ("a", "b"))
    weighting({"a/x": torch.tensor(2.0), "b/x": torch.tensor(4.0)})
    before = weighting.factors()["b"]
    weighting({"a/x": torch.tensor(2.0), "b/x": torch.tensor(0.0)})
    assert weighting.factors() == pytest.approx({"a": 1.0, "b": before})
    assert weighting.xi.tolist() == pytest.approx([0, 0], abs=1e-4)
