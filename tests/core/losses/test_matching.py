"""Assignments against brute force, and the one copy from the device to the host."""

import itertools
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mtvit_core.errors import DivergedError
from mtvit_core.losses.matching import Match, match_all


def least(cost: Tensor) -> float:
    """Return the least sum of costs over all ways of giving every target (or every query) its own partner."""
    queries, targets = cost.shape
    if queries < targets:
        return least(cost.T)
    ways = itertools.permutations(range(queries), targets)
    return min(sum(float(cost[q, t]) for t, q in enumerate(way)) for way in ways)


def total(match: Match, cost: Tensor) -> float:
    """Return the sum of the costs of one layer and image of a match."""
    pairs = [
        (int(q), t) for t, (q, m) in enumerate(zip(match.query[0, 0], match.matched[0, 0], strict=True)) if m
    ]
    return sum(float(cost[q, t]) for q, t in pairs)


@pytest.mark.parametrize(("queries", "targets"), [(1, 1), (5, 3), (6, 1), (4, 4), (3, 5), (1, 4)])
def test_equals_brute_force(queries: int, targets: int) -> None:
    for _ in range(20):
        cost = torch.randn(queries, targets)
        match = match_all({"a": (cost[None, None], (targets,))})["a"]
        kept = match.query[match.matched]
        assert len(kept.unique()) == len(kept) == min(queries, targets)
        assert total(match, cost) == pytest.approx(least(cost), abs=1e-5)


def test_every_layer_and_image_is_matched_on_its_own() -> None:
    cost = torch.randn(3, 2, 5, 4)
    match = match_all({"a": (cost, (4, 2))})["a"]
    for layer, image in itertools.product(range(3), range(2)):
        count = (4, 2)[image]
        alone = match_all({"a": (cost[layer, image, :, :count][None, None], (count,))})["a"]
        torch.testing.assert_close(match.query[layer, image, :count], alone.query[0, 0])


def test_padded_columns_are_ignored() -> None:
    cost = torch.randn(1, 2, 4, 3)
    cost[0, 0, :, 2] = -1e6
    cost[0, 1] = torch.nan
    match = match_all({"a": (cost, (2, 0))})["a"]
    assert match.matched.tolist() == [[[True, True, False], [False, False, False]]]
    assert total(match, cost[0, 0]) == pytest.approx(least(cost[0, 0, :, :2]), abs=1e-5)


def test_without_targets() -> None:
    match = match_all({"a": (torch.randn(2, 3, 4, 0), (0, 0, 0))})["a"]
    assert match.query.shape == match.matched.shape == (2, 3, 0)
    assert match_all({}) == {}


def test_queries_of_a_match_keep_to_the_names() -> None:
    costs = {"a": torch.randn(1, 2, 5, 3), "b": torch.randn(2, 2, 2, 2)}
    together = match_all({"a": (costs["a"], (3, 1)), "b": (costs["b"], (2, 2))})
    for name, counts in (("a", (3, 1)), ("b", (2, 2))):
        alone = match_all({name: (costs[name], counts)})[name]
        torch.testing.assert_close(together[name].query, alone.query)
        torch.testing.assert_close(together[name].matched, alone.matched)


def test_nan_is_an_error_that_says_where() -> None:
    cost = torch.zeros(2, 3, 4, 2)
    cost[1, 2, 0, 1] = torch.nan
    with pytest.raises(DivergedError) as error:
        match_all({"det": (cost, (2, 2, 2))})
    assert str(error.value) == (
        "matching of 'det': the cost of image 2 of the batch at supervised layer 1 is NaN; the predictions "
        "have diverged. Lower the learning rate or check the targets."
    )


def test_infinite_costs_forbid_a_pair() -> None:
    cost = torch.tensor([[1.0, torch.inf], [2.0, torch.inf], [torch.inf, torch.inf]])
    match = match_all({"a": (cost[None, None], (2,))})["a"]
    assert match.matched.tolist() == [[[True, False]]]
    assert match.query[0, 0, 0] == 0


def test_infinite_costs_are_avoided_at_any_finite_price() -> None:
    cost = torch.tensor([[0.0, 1e4], [0.0, torch.inf]])
    match = match_all({"a": (cost[None, None], (2,))})["a"]
    assert match.query.tolist() == [[[1, 0]]]
    assert match.matched.all()
    certain = torch.tensor([[-torch.inf, 0.0], [5.0, 3.0]])
    assert match_all({"a": (certain[None, None], (2,))})["a"].query.tolist() == [[[0, 1]]]


def test_infinite_costs_leave_small_differences_alone() -> None:
    cost = torch.tensor([[0.1, torch.inf, 0.3], [0.1001, torch.inf, 0.3]])
    match = match_all({"a": (cost[None, None], (3,))})["a"]
    assert match.query[0, 0, 0] == 0 or match.query[0, 0, 2] == 0
    assert total(match, cost) == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_takes_any_precision(dtype: torch.dtype) -> None:
    cost = torch.tensor([[3.0, 1.0], [1.0, 3.0], [9.0, 9.0]], dtype=dtype)
    assert match_all({"a": (cost[None, None], (2,))})["a"].query.tolist() == [[[1, 0]]]


class OnDevice(Tensor):
    """A tensor as if on a device: ``cpu`` is the only way to its values, and is counted."""

    copies: ClassVar[list[int]] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run any function, but refuse those that would wait for the device."""
        assert func.__name__ not in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "nonzero")
        result = super().__torch_function__(func, types, args, kwargs)
        if func.__name__ != "cpu":
            return result
        cls.copies.append(result.numel())
        return result.as_subclass(Tensor)


def test_one_copy_from_the_device_a_step() -> None:
    OnDevice.copies.clear()
    costs = {name: torch.randn(2, 4, 6, 3, requires_grad=True) for name in ("det", "seg", "pose")}
    match_all({name: (cost.as_subclass(OnDevice), (3, 0, 2, 1)) for name, cost in costs.items()})
    assert OnDevice.copies == [3 * 2 * 4 * 6 * 3]


def test_gather_picks_the_row_of_each_target() -> None:
    match = Match(torch.tensor([[[2, 0]], [[1, 2]]]), torch.tensor([[[True, False]], [[True, True]]]))
    values = torch.arange(2 * 1 * 3 * 2).view(2, 1, 3, 2).float()
    picked = match.gather(values)
    assert picked.shape == (2, 1, 2, 2)
    torch.testing.assert_close(picked[0, 0, 0], values[0, 0, 2])
    torch.testing.assert_close(picked[1, 0], values[1, 0, [1, 2]])


def test_gather_sends_gradients_to_the_picked_rows_only() -> None:
    match = Match(torch.tensor([[[2]]]), torch.tensor([[[True]]]))
    values = torch.zeros(1, 1, 3, 4, requires_grad=True)
    match.gather(values).sum().backward()
    assert values.grad is not None
    assert values.grad[0, 0].sum(1).tolist() == [0, 0, 4]


def test_scatter_leaves_unmatched_queries_at_the_fill() -> None:
    query = torch.tensor([[[3, 0, 0]], [[1, 0, 2]]])
    matched = torch.tensor([[[True, False, False]], [[True, True, False]]])
    labels = torch.tensor([[7, 8, 9]])
    spread = Match(query, matched).scatter(labels, 4, -1)
    assert spread.tolist() == [[[-1, -1, -1, 7]], [[8, 7, -1, -1]]]
    assert spread.dtype == torch.int64


def test_scatter_of_no_targets_is_all_fill() -> None:
    match = Match(torch.zeros(1, 2, 0, dtype=torch.int64), torch.zeros(1, 2, 0, dtype=torch.bool))
    assert match.scatter(torch.zeros(2, 0), 3, 0.5).tolist() == [[[0.5] * 3] * 2]
