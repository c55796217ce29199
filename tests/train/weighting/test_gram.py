"""Schemes that compare gradients: two quadratics |W - p|^2 / 2 and a known answer for each scheme."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtvit_core.errors import ConfigError, PluginError
from mtvit_train.config.run import RunConfig
from mtvit_train.weighting.fixed import make_weighting
from mtvit_train.weighting.nash_mtl import bargain

TASKS = ("a", "b")
SCHEMES = ("pcgrad", "cagrad", "nash_mtl", "aligned_mtl")


def update(scheme: str, *gradients: list[float], **settings: float) -> Tensor:
    """The gradient of the weighed sum where those of the tasks, of quadratics around points, are these."""
    weighting = make_weighting(
        RunConfig(train={"weighting": scheme}, weightings={scheme: settings}),
        tuple("abcdefg"[: len(gradients)]),
    )
    shared = nn.Parameter(torch.zeros(len(gradients[0])))
    weighting.begin([shared])
    points = [-torch.tensor(gradient) for gradient in gradients]
    losses = {f"{'abcdefg'[i]}/x": (shared - point).square().sum() / 2 for i, point in enumerate(points)}
    torch.stack(list(weighting(losses).values())).sum().backward()
    assert shared.grad is not None
    return shared.grad


def test_pcgrad_takes_away_what_conflicts() -> None:
    # g_a = (1, 0) loses its part along g_b = (-1, 1) and becomes (1/2, 1/2); g_b becomes (0, 1)
    assert update("pcgrad", [1.0, 0.0], [-1.0, 1.0]).tolist() == pytest.approx([0.5, 1.5])


def test_pcgrad_leaves_what_does_not_conflict() -> None:
    assert update("pcgrad", [1.0, 0.0], [1.0, 2.0]).tolist() == pytest.approx([2, 2])


@pytest.mark.parametrize("c", [0.0, 0.4, 0.8])
def test_cagrad_helps_the_worst_off_task_most(c: float) -> None:
    a, b = np.array([3.0, 0.5]), np.array([-1.0, 0.6])
    mean = (a + b) / 2
    angles = np.linspace(0, 2 * np.pi, 20_001)
    ring = mean + c * np.linalg.norm(mean) * np.stack([np.cos(angles), np.sin(angles)], 1)
    best = ring[np.minimum(ring @ a, ring @ b).argmax()]
    found = update("cagrad", a.tolist(), b.tolist(), c=c).numpy() * (1 + c**2) / 2
    assert found == pytest.approx(best, abs=2e-3)


def test_nash_gives_orthogonal_tasks_the_same_length() -> None:
    # M a = 1 / a with M = diag(|g|^2) has a = 1 / |g|; scaled to sum to 2: (8/5, 2/5)
    assert update("nash_mtl", [1.0, 0.0], [0.0, 4.0]).tolist() == pytest.approx([1.6, 1.6], rel=1e-4)


def test_the_bargain_solves_its_equation() -> None:
    gradients = np.random.default_rng(0).normal(size=(5, 40)) * np.array([1, 10, 0.1, 3, 1])[:, None]
    gram = gradients @ gradients.T
    a = bargain(gram)
    assert (a > 0).all()
    assert a * (gram @ a) == pytest.approx(np.ones(5), rel=1e-4)


def test_aligned_gives_orthogonal_tasks_the_length_of_the_shortest() -> None:
    assert update("aligned_mtl", [1.0, 0.0], [0.0, 4.0]).tolist() == pytest.approx([1, 1])


def test_aligned_makes_all_singular_values_equal() -> None:
    gradients = np.array([[3.0, 0.5, 0.0], [-1.0, 0.6, 2.0]])
    left, values, right = np.linalg.svd(gradients.T, full_matrices=False)
    expected = values.min() * (left @ right).sum(1)
    assert update("aligned_mtl", *gradients.tolist()).numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_descent_ends_between_the_two_minima(scheme: str) -> None:
    """Where |W - a|^2 / 2 and 5 |W - b|^2 cannot both fall, W lies between a and b."""
    weighting = make_weighting(RunConfig(train={"weighting": scheme}), TASKS)
    a, b = torch.tensor([0.0, 0.0]), torch.tensor([4.0, 0.0])
    shared = nn.Parameter(torch.tensor([1.0, 3.0]))
    weighting.begin([shared])
    optimizer = torch.optim.SGD([shared], lr=0.03)
    for _ in range(300):
        optimizer.zero_grad()
        losses = {"a/x": (shared - a).square().sum() / 2, "b/x": 5 * (shared - b).square().sum()}
        torch.stack(list(weighting(losses).values())).sum().backward()
        optimizer.step()
    across, up = shared.tolist()
    assert abs(up) < 0.02
    assert 0 < across < 4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_task_without_labels_changes_nothing(scheme: str) -> None:
    alone = update(scheme, [1.0, 2.0], [-1.0, 1.0])
    beside = update(scheme, [1.0, 2.0], [-1.0, 1.0], [0.0, 0.0])
    assert beside.tolist() == pytest.approx(alone.tolist(), rel=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_told_and_kept_with_the_state(scheme: str) -> None:
    run = RunConfig(train={"weighting": scheme}, weightings={scheme: {"every": 2}})
    weighting, again = (make_weighting(run, TASKS) for _ in range(2))
    shared = nn.Parameter(torch.zeros(2))
    for one in (weighting, again):
        one.begin([shared])
    points = {"a/x": torch.tensor([1.0, 0.0]), "b/x": torch.tensor([-1.0, 3.0])}
    losses = {name: (shared - point).square().sum() for name, point in points.items()}
    weighting(losses)
    again.load_state_dict(weighting.state_dict())
    assert again.factors() == weighting.factors() != {"a": 1.0, "b": 1.0}
    assert torch.equal(again(losses)["b/x"], weighting(losses)["b/x"])


def test_faults_are_told() -> None:
    weighting = make_weighting(RunConfig(train={"weighting": "pcgrad"}), TASKS)
    with pytest.raises(
        ConfigError, match=r"train\.weighting is 'pcgrad', but the backbone's last block is not"
    ):
        weighting.begin([])
    weighting.begin([nn.Parameter(torch.zeros(1))])
    with pytest.raises(PluginError, match="the loss of task 'a' does not read the backbone's last block"):
        weighting({"a/x": nn.Parameter(torch.ones(())) * 2})
