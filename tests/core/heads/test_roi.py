"""Reading inside boxes: the grid of points, sizes and places that do not matter, and the loss."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.heads.roi import CELLS, PatchCells, RoIReader, at_places, region_class_loss


class Regions(nn.Module):
    """Cuts patches and reads what lies inside boxes, with random weights."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cells, self.inside = PatchCells(width), RoIReader(width, outputs)
        nn.init.normal_(self.inside.say.weight)

    def forward(self, patches: Tensor, boxes: Tensor) -> Tensor:
        """Read."""
        read: Tensor = self.inside(self.cells(patches), boxes)
        return read


def test_a_region_reads_its_own_box_only() -> None:
    reader = Regions(8, 5)
    patches = torch.randn(1, 8, 10, 10)
    boxes = torch.tensor([[[0.25, 0.25, 0.3, 0.3], [0.75, 0.75, 0.3, 0.3]]])
    before = reader(patches, boxes)
    changed = patches.clone()
    changed[..., 6:, 6:] += 1
    after = reader(changed, boxes)
    torch.testing.assert_close(before[0, 0], after[0, 0])
    assert (before[0, 1] - after[0, 1]).abs().max() > 1e-3


def test_the_same_content_reads_the_same_wherever_it_lies() -> None:
    reader = Regions(8, 5)
    patches = torch.randn(1, 8, 8, 8)
    boxes = torch.tensor([[[0.25, 0.25, 0.5, 0.5], [0.75, 0.5, 0.5, 0.5]]])
    moved = patches.roll((2, 4), (2, 3))
    torch.testing.assert_close(reader(patches, boxes)[0, 0], reader(moved, boxes)[0, 1], atol=1e-5, rtol=1e-4)


def test_points_are_the_centres_of_a_grid() -> None:
    reader = Regions(1, 1)
    cut, inside = reader.cells.cut, reader.inside
    torch.nn.init.zeros_(cut.weight)
    with torch.no_grad():
        cut.weight[: CELLS * CELLS] = 1.0
        cut.bias.zero_()
        inside.join.weight.zero_()
        inside.join.bias.zero_()
        inside.join.weight[0, 0], inside.say.weight[0, 0], inside.say.bias[0] = 1.0, 1.0, 0.0
    columns = torch.arange(7.0).expand(1, 1, 7, 7)
    # A box of 7 x 7 patches around the middle of 7 x 7 patches: the first point is the middle of patch 0.
    assert CELLS == 4
    found = reader(columns + 3, torch.tensor([[[0.5, 0.5, 1.0, 1.0]]]))
    torch.testing.assert_close(found, torch.nn.functional.gelu(torch.tensor([[[3.0]]])))


def test_no_gradient_reaches_the_boxes() -> None:
    boxes = torch.rand(1, 2, 4, requires_grad=True)
    Regions(4, 3)(torch.randn(1, 4, 4, 4), boxes).sum().backward()
    assert boxes.grad is None


def test_queries_on_an_object_learn_its_class_and_others_nothing() -> None:
    logits = torch.zeros(2, 1, 3, 4, requires_grad=True)
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.52, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]).expand(
        2, 1, 3, 4
    )
    labels, truth = torch.tensor([[2, 0]]), torch.tensor([[[0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]])
    valid = torch.tensor([[True, False]])
    loss = region_class_loss(logits, boxes, labels, truth, valid)
    torch.testing.assert_close(loss, 2 * torch.tensor(4.0).log())
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0, :2, 2] < 0).all()
    assert not logits.grad[:, 0, 2].any()


def test_no_objects_no_loss() -> None:
    logits = torch.ones(1, 2, 3, 4, requires_grad=True)
    nothing = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool)
    loss = region_class_loss(logits, torch.rand(1, 2, 3, 4), *nothing)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("size", [(6, 9), (1, 5), (5, 1), (1, 1)])
def test_places_are_read_as_grid_sample_reads_them(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    cells = torch.randn(3, *size, 4, requires_grad=True)
    places = torch.rand(3, 5, 7, 2) * 1.4 - 0.2
    image = torch.tensor([2, 0, 2])
    found = at_places(cells, places, image)
    wanted = F.grid_sample(
        cells[image].permute(0, 3, 1, 2), 2 * places - 1, padding_mode="border", align_corners=False
    ).permute(0, 2, 3, 1)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    weight = torch.randn_like(found)
    (ours,) = torch.autograd.grad((found * weight).sum(), cells, retain_graph=True)
    (theirs,) = torch.autograd.grad((wanted * weight).sum(), cells)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
