"""Gates between two layers: the gradient of scores against the formula."""

import pytest
import torch
from torch import nn

from mtvit_core.backbones.branched.estimators import Gumbel, StraightThrough
from mtvit_core.backbones.branched.gated_linear import GatedLinear


def layers() -> tuple[nn.Linear, nn.Linear, torch.Tensor, torch.Tensor]:
    """A shared layer, an own one, an input, and a gradient of the output."""
    torch.manual_seed(0)
    return nn.Linear(5, 3), nn.Linear(5, 3), torch.randn(4, 5), torch.randn(4, 3)


@pytest.mark.parametrize("score", [0.3, 0.5, 0.50001, 0.8])
def test_straight_through_gives_a_score_the_gradient_of_its_gate(score: float) -> None:
    shared, own, x, grad = layers()
    scores = torch.full((1, 1, 4), score, requires_grad=True)
    gate = StraightThrough().gates(scores)[0, 0, 0]
    found = GatedLinear(gate, gate.detach().item(), shared, own)(x)
    chosen, other = (shared, own) if score > 0.5 else (own, shared)
    assert torch.equal(found, chosen(x))
    found.backward(grad)
    weight, bias = grad.T @ x, grad.sum(0)  # dL/dW_eff and dL/db_eff
    wanted = (weight * (shared.weight - own.weight)).sum() + (bias * (shared.bias - own.bias)).sum()
    torch.testing.assert_close(scores.grad[0, 0, 0], wanted.detach())
    assert not scores.grad[0, 0, 1:].any()
    torch.testing.assert_close(chosen.weight.grad, weight)
    assert other.weight.grad is None
    assert other.bias.grad is None


def test_gumbel_mixes_both_and_gives_both_their_part() -> None:
    shared, own, x, grad = layers()
    scores = torch.full((1, 1, 4), 0.6, requires_grad=True)
    gates = Gumbel(2.0, torch.full((1, 1, 4), 0.3)).gates(scores)
    gate = gates[0, 0, 0]
    g = torch.sigmoid(torch.tensor((0.6 - 0.5 + 0.3) / 2.0))
    torch.testing.assert_close(gate.detach(), g)
    GatedLinear(gate, gate.detach().item(), shared, own)(x).backward(grad)
    weight, bias = grad.T @ x, grad.sum(0)
    wanted = (weight * (shared.weight - own.weight)).sum() + (bias * (shared.bias - own.bias)).sum()
    torch.testing.assert_close(scores.grad[0, 0, 0], (wanted * g * (1 - g) / 2.0).detach())
    torch.testing.assert_close(shared.weight.grad, g * weight)
    torch.testing.assert_close(own.weight.grad, (1 - g) * weight)


def test_a_low_temperature_gives_gates_of_0_and_1() -> None:
    noise = torch.tensor([-1.0, -0.2, 0.2, 1.0]).view(1, 1, 4)
    assert Gumbel(1e-3, noise).gates(torch.full((1, 1, 4), 0.5)).tolist() == [[[0.0, 0.0, 1.0, 1.0]]]
