"""Depth errors: by hand, and against a plain loop over pixels on random and adversarial maps."""

import math

import pytest
import torch
from torch import Tensor

from mtvit_core.structures.pixel_maps import DenseMap
from mtvit_dense.evaluators.depth import DepthEvaluator
from support.tasks.dense_scores import scored


def dense(values: Tensor) -> DenseMap:
    return DenseMap(values[None], ("depth",))


def by_loop(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The definitions, pixel by pixel in Python's floats."""
    gaps, shares, near = [], [], []
    for found, label in pairs:
        for d, t in zip(found.flatten().tolist(), label.flatten().tolist(), strict=True):
            if math.isfinite(t) and t > 0:
                gaps.append(abs(d - t))
                shares.append(abs(d - t) / t)
                near.append(max(d, 1e-6) / t < 1.25 and t / max(d, 1e-6) < 1.25)
    if not gaps:
        return dict.fromkeys(("abs_err", "rel_err", "RMSE", "delta1"), math.nan)
    n = len(gaps)
    square = math.fsum(gap * gap for gap in gaps) / n
    return {
        "abs_err": math.fsum(gaps) / n,
        "rel_err": math.fsum(shares) / n,
        "RMSE": math.sqrt(square),
        "delta1": sum(near) / n,
    }


def test_by_hand() -> None:
    label = torch.tensor([[2.0, 4.0, torch.nan, 0.0]])
    found = torch.tensor([[2.5, 3.0, 9.0, 9.0]])
    metrics = scored(DepthEvaluator("depth"), "depth", [(dense(found), label)])
    assert metrics == pytest.approx(
        {"abs_err": 0.75, "rel_err": 0.25, "RMSE": math.sqrt(0.625), "delta1": 0.0}, abs=1e-12
    )  # 2.5 / 2 is just 1.25, which is not below it


@pytest.mark.parametrize("case", ["random", "no pixel", "one pixel", "ties", "zero found"])
def test_as_a_plain_loop_says(case: str) -> None:
    random = torch.Generator().manual_seed(3)
    pairs = []
    for _ in range(3):
        label = torch.rand(7, 5, generator=random) * 10
        found = torch.rand(7, 5, generator=random) * 10
        label[torch.rand(7, 5, generator=random) < 0.3] = torch.nan
        if case == "no pixel":
            label.fill_(torch.nan)
        elif case == "one pixel":
            label.flatten()[1:] = 0
        elif case == "ties":
            found = label.nan_to_num(1.0)
        elif case == "zero found":
            found = torch.zeros(7, 5)
        pairs.append((found, label))
    metrics = scored(DepthEvaluator("depth"), "depth", [(dense(f), t) for f, t in pairs])
    assert metrics == pytest.approx(by_loop(pairs), abs=1e-9, nan_ok=True)
