"""The best F of edges: by hand, and against distances between single pixels."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mtvit_core.structures.pixel_maps import DenseMap
from mtvit_dense.evaluators.edges import THRESHOLDS, EdgesEvaluator
from support.tasks.dense_scores import scored


def by_distances(pairs: list[tuple[Tensor, Tensor]], tolerance: float) -> float:
    """F at every threshold from distances between single pixels."""
    best = 0.0
    for threshold in THRESHOLDS:
        called = right = true = hit = 0
        for found, label in pairs:
            reach = tolerance * math.hypot(*label.shape)
            edges = [tuple(place) for place in (label == 1).nonzero().tolist()]
            said = found.double().numpy() >= threshold
            said &= label.isfinite().numpy()
            calls = [tuple(place) for place in np.argwhere(said).tolist()]
            right += sum(any(math.dist(c, e) <= reach for e in edges) for c in calls)
            hit += sum(any(math.dist(c, e) <= reach for c in calls) for e in edges)
            called, true = called + len(calls), true + len(edges)
        if called and true and right + hit:
            p, r = right / called, hit / true
            best = max(best, 2 * p * r / (p + r))
    return best


@pytest.mark.parametrize("tolerance", [0.0, 0.15])
def test_as_distances_say(tolerance: float) -> None:
    random = torch.Generator().manual_seed(6)
    pairs = []
    for _ in range(2):
        label = (torch.rand(8, 9, generator=random) < 0.15).float()
        label[torch.rand(8, 9, generator=random) < 0.1] = torch.nan
        pairs.append((torch.rand(8, 9, generator=random), label))
    maps = [(DenseMap(found[None], ("edge",)), label) for found, label in pairs]
    assert scored(EdgesEvaluator("edges", tolerance), "edges", maps)["ODS"] == pytest.approx(
        by_distances(pairs, tolerance), abs=1e-9
    )


def test_without_an_edge_there_is_no_score() -> None:
    blank = [(DenseMap(torch.rand(1, 4, 4), ("edge",)), torch.zeros(4, 4))]
    assert math.isnan(scored(EdgesEvaluator("edges", 0.01), "edges", blank)["ODS"])
