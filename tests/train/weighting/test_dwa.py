"""DWA: its equation by hand."""

import pytest
import torch

from mtvit_train.weighting.dwa import DWA, DWAConfig


def losses(a: float, b: float) -> dict[str, torch.Tensor]:
    return {"a/x": torch.tensor(float(a)), "b/x": torch.tensor(float(b))}


def test_a_loss_that_falls_slowly_weighs_more() -> None:
    weighting = DWA(DWAConfig(temperature=2.0, span=2), ("a", "b"))
    for a, b in ((4, 1), (2, 1), (1, 1)):
        assert weighting.factors() == {"a": 1.0, "b": 1.0}
        weighting(losses(a, b))
    weighting(losses(2, 1))
    # means 3 then 1.5 for a: r = 1/2; r = 1 for b
    ratio = torch.tensor([0.5, 1.0])
    assert [*weighting.factors().values()] == pytest.approx((2 * (ratio / 2).softmax(0)).tolist())


def test_batches_without_labels_are_left_out_of_the_mean() -> None:
    weighting = DWA(DWAConfig(span=2), ("a", "b"))
    for b in (3.0, 0.0):
        weighting(losses(1, b))
    assert weighting.means[0].tolist() == [1, 3]
