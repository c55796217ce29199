"""Angles: by hand, and against chords in Python's floats on random and adversarial maps."""

import math
import statistics

import pytest
import torch
from torch import Tensor

from mtvit_core.structures.pixel_maps import DenseMap
from mtvit_dense.evaluators.normals import LIMITS, NormalsEvaluator
from support.tasks.dense_scores import scored

NAMES = ("mean_angle", "median_angle", "RMSE", "below_11.25", "below_22.5", "below_30")


def dense(values: Tensor) -> DenseMap:
    return DenseMap(values, ("x", "y", "z"))


def angle(a: list[float], b: list[float]) -> float:
    """2 asin of half the chord between unit vectors, or from the other end where that is nearer."""
    a, b = ([x / math.hypot(*v) for x in v] for v in (a, b))
    chord = math.hypot(*(x - y for x, y in zip(a, b, strict=True)))
    other = math.hypot(*(x + y for x, y in zip(a, b, strict=True)))
    turned = 2 * math.asin(min(1, chord / 2)) if chord < other else math.pi - 2 * math.asin(min(1, other / 2))
    return math.degrees(turned)


def by_loop(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The definitions, pixel by pixel."""
    found = []
    for said, label in pairs:
        for a, b in zip(said.flatten(1).T.tolist(), label.flatten(1).T.tolist(), strict=True):
            if all(map(math.isfinite, b)) and any(b):
                found.append(angle(a, b))
    if not found:
        return dict.fromkeys(NAMES, math.nan)
    shares = [sum(one < limit for one in found) / len(found) for limit in LIMITS]
    square = math.fsum(one * one for one in found) / len(found)
    values = (math.fsum(found) / len(found), statistics.median(found), math.sqrt(square), *shares)
    return dict(zip(NAMES, values, strict=True))


def test_by_hand() -> None:
    label = torch.tensor([[[0.0, 0, 0, 0]], [[0.0, 0, 0, 1]], [[1.0, 1, 0, 0]]])  # z, z, none, y
    found = torch.tensor([[[0.0, 1, 1, 0]], [[0.0, 0, 0, 1]], [[1.0, 0, 0, 1]]])  # 0, 90, -, 45 degrees
    metrics = scored(NormalsEvaluator("normals"), "normals", [(dense(found), label)])
    expected = (45.0, 45.0, math.sqrt((90**2 + 45**2) / 3), 1 / 3, 1 / 3, 1 / 3)
    assert metrics == pytest.approx(dict(zip(NAMES, expected, strict=True)), abs=1e-9)


@pytest.mark.parametrize("case", ["random", "no pixel", "equal", "opposite", "near"])
def test_as_a_plain_loop_says(case: str) -> None:
    random = torch.Generator().manual_seed(4)
    pairs = []
    for _ in range(2):
        label, found = (torch.randn(3, 5, 6, generator=random) for _ in range(2))
        label[:, torch.rand(5, 6, generator=random) < 0.3] = torch.nan
        label[:, 0, 0] = 0
        if case == "no pixel":
            label.fill_(torch.nan)
        elif case in ("equal", "opposite"):
            found = label.nan_to_num(1.0) * (-1.0 if case == "opposite" else 1.0)
            found[:, 0, 0] = 1
        elif case == "near":
            found = label.nan_to_num(1.0) + 1e-4 * found
        pairs.append((found, label))
    metrics = scored(NormalsEvaluator("normals"), "normals", [(dense(f), t) for f, t in pairs])
    assert metrics == pytest.approx(by_loop(pairs), abs=1e-9, nan_ok=True)
