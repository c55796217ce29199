"""Box formats and overlaps against torchvision, and by hand where boxes degenerate."""

import pytest
import torch
from torch import Tensor
from torchvision import ops

from mtvit_core.structures import boxes


def random_boxes(count: int) -> Tensor:
    """Return xyxy boxes in the unit square with sides of at least 0.02."""
    low = torch.rand(count, 2)
    return torch.cat([low, low + 0.02 + torch.rand(count, 2) * (1 - low)], -1)


def test_formats_as_torchvision() -> None:
    xyxy = random_boxes(50)
    cxcywh = ops.box_convert(xyxy, "xyxy", "cxcywh")
    torch.testing.assert_close(boxes.xyxy_to_cxcywh(xyxy), cxcywh)
    torch.testing.assert_close(boxes.cxcywh_to_xyxy(cxcywh), xyxy)
    torch.testing.assert_close(boxes.box_area(xyxy), ops.box_area(xyxy))


def test_overlaps_as_torchvision() -> None:
    a, b = random_boxes(40), random_boxes(30)
    torch.testing.assert_close(boxes.box_iou(a[:, None], b[None]), ops.box_iou(a, b))
    torch.testing.assert_close(boxes.generalized_box_iou(a[:, None], b[None]), ops.generalized_box_iou(a, b))


def test_gradient_of_giou_as_torchvision() -> None:
    a, b = random_boxes(20).requires_grad_(), random_boxes(20)
    ours = torch.autograd.grad(boxes.generalized_box_iou(a, b).sum(), a)[0]
    theirs = torch.autograd.grad(ops.generalized_box_iou(a, b).diagonal().sum(), a)[0]
    torch.testing.assert_close(ours, theirs)


BOX, DOT, LINE = [0.2, 0.2, 0.6, 0.4], [0.3, 0.3, 0.3, 0.3], [0.2, 0.3, 0.6, 0.3]


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        (BOX, BOX, 1.0, 1.0),
        (BOX, [0.6, 0.2, 1.0, 0.4], 0.0, 0.0),  # they touch: the enclosing box holds nothing else
        (BOX, [0.6, 0.4, 1.0, 0.6], 0.0, -0.5),  # corner to corner
        (DOT, DOT, 0.0, 0.0),
        (LINE, LINE, 0.0, 0.0),
        (BOX, DOT, 0.0, 0.0),
        (BOX, LINE, 0.0, 0.0),
        (DOT, [0.5, 0.5, 0.5, 0.5], 0.0, -1.0),
        ([0.6, 0.4, 0.2, 0.2], BOX, 0.0, 0.0),  # reversed corners have no area
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], 0.0, 0.0),
    ],
)
def test_by_hand(a: list[float], b: list[float], iou: float, giou: float) -> None:
    a_, b_ = torch.tensor(a), torch.tensor(b)
    for first, second in ((a_, b_), (b_, a_)):
        assert boxes.box_iou(first, second).item() == pytest.approx(iou, abs=1e-6)
        assert boxes.generalized_box_iou(first, second).item() == pytest.approx(giou, abs=1e-6)


@pytest.mark.parametrize("box", [BOX, DOT, LINE, [0.0] * 4, [0.6, 0.4, 0.2, 0.2]])
def test_gradients_are_finite_for_equal_boxes(box: list[float]) -> None:
    a, b = torch.tensor(box, requires_grad=True), torch.tensor(box, requires_grad=True)
    (boxes.generalized_box_iou(a, b) + boxes.box_iou(a, b)).backward()
    assert a.grad is not None
    assert b.grad is not None
    assert bool(torch.isfinite(torch.stack([a.grad, b.grad])).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_are_finite_in_half_precision(dtype: torch.dtype) -> None:
    for box in (BOX, DOT, LINE):
        a = torch.tensor(box, dtype=dtype, requires_grad=True)
        boxes.generalized_box_iou(a, a.detach().clone()).backward()
        assert a.grad is not None
        assert bool(torch.isfinite(a.grad).all())


def test_overlaps_of_nothing() -> None:
    none = torch.zeros(3, 0, 4)
    assert boxes.generalized_box_iou(none, none).shape == (3, 0)


def test_deltas_undo_what_made_them() -> None:
    reference = boxes.xyxy_to_cxcywh(random_boxes(20))
    wanted = boxes.xyxy_to_cxcywh(random_boxes(20))
    shift = (wanted[:, :2] - reference[:, :2]) / reference[:, 2:]
    deltas = torch.cat([shift, (wanted[:, 2:] / reference[:, 2:]).log()], -1)
    torch.testing.assert_close(boxes.apply_deltas(reference, deltas), wanted)
    torch.testing.assert_close(boxes.apply_deltas(reference, torch.zeros(20, 4)), reference)


def test_deltas_stay_finite() -> None:
    grown = boxes.apply_deltas(torch.tensor([0.5, 0.5, 0.25, 0.25]), torch.tensor([0.0, 0.0, 1e4, -1e4]))
    torch.testing.assert_close(grown, torch.tensor([0.5, 0.5, 0.25 * 54.59815, 0.25 / 54.59815]))
