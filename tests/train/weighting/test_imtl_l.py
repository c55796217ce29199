"""IMTL-L brings each loss to 1."""

import pytest
import torch

from mtvit_train.weighting.imtl_l import IMTLL, IMTLLConfig


def test_it_settles_where_each_weighed_loss_is_one() -> None:
    weighting = IMTLL(IMTLLConfig(), ("a", "b"))
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        terms = weighting({"a/x": torch.tensor(4.0), "b/x": torch.tensor(0.25)})
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    assert weighting.factors() == pytest.approx({"a": 0.25, "b": 4.0}, rel=1e-3)


def test_a_task_without_labels_learns_no_scale() -> None:
    weighting = IMTLL(IMTLLConfig(), ("a", "b"))
    terms = weighting({"a/x": torch.tensor(4.0), "b/x": torch.tensor(0.0)})
    torch.stack(list(terms.values())).sum().backward()
    assert weighting.s.grad.tolist() == [3, 0]
