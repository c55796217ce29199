"""The product over pixels is the transposed convolution it stands for."""

import pytest
import torch
from torch import nn

from mtvit_core.heads.upsample import Upsample2x


@pytest.mark.parametrize("size", [(2, 5, 3, 4), (1, 8, 1, 1), (3, 4, 7, 2)])
def test_values_and_gradients_are_those_of_the_convolution(size: tuple[int, int, int, int]) -> None:
    doubling = Upsample2x(size[1], 6)
    convolution = nn.ConvTranspose2d(size[1], 6, 2, stride=2)
    convolution.load_state_dict(doubling.state_dict())
    x = torch.randn(size)
    gradient = torch.randn(size[0], 6, 2 * size[2], 2 * size[3])
    seen = []
    for layer in (doubling, convolution):
        x.requires_grad_(True).grad = None
        y = layer(x)
        y.backward(gradient)
        seen.append((y, x.grad, layer.weight.grad, layer.bias.grad))
    for ours, theirs in zip(*seen, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_channels_come_out_last_in_memory() -> None:
    assert Upsample2x(4, 6)(torch.randn(2, 4, 3, 5)).is_contiguous(memory_format=torch.channels_last)


def test_a_fresh_layer_draws_the_numbers_of_the_convolution() -> None:
    torch.manual_seed(3)
    ours = Upsample2x(4, 6).state_dict()
    torch.manual_seed(3)
    theirs = nn.ConvTranspose2d(4, 6, 2, stride=2).state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
