"""The leading part of a tensor, whole or packed."""

import torch

from mtvit_core.backbones.elastic.slicing import leading


def test_the_leading_part_of_every_axis() -> None:
    full = torch.arange(24.0).view(4, 6)
    cut = leading(full, (2, 3))
    assert torch.equal(cut, full[:2, :3])
    assert cut.data_ptr() == full.data_ptr()
    assert leading(full, (4, 6)) is full
    assert leading(torch.tensor(3.0), ()).shape == ()


def test_packed_parts_are_each_cut() -> None:
    heads, width = 3, 2
    full = torch.arange(3.0 * heads * width * 5).view(3 * heads * width, 5)
    cut = leading(full, (3 * 2 * width, 4), parts=3).view(3, 2, width, 4)
    assert torch.equal(cut, full.view(3, heads, width, 5)[:, :2, :, :4])
    assert torch.equal(leading(full, (18, 4), parts=3), full[:, :4])


def test_gradients_reach_the_full_tensor() -> None:
    full = torch.ones(6, 4, requires_grad=True)
    leading(full, (4, 2), parts=2).sum().backward()
    expected = torch.zeros(6, 4)
    expected[[0, 1, 3, 4], :2] = 1
    assert torch.equal(full.grad, expected)
