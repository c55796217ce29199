"""Weightings: their equations by hand, tasks that are missing, and runs that use them."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from mtvit_core.errors import ConfigError, PluginError
from mtvit_core.plugins.registry import registry
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import mean_over_ranks
from mtvit_train.weighting.fixed import make_weighting
from mtvit_train.weighting.gradnorm import GradNorm, GradNormConfig
from mtvit_train.weighting.uncertainty import Uncertainty
from support.commands.processes import forked


def named(name: str, tasks: tuple[str, ...], **settings: float):
    return make_weighting(RunConfig(train={"weighting": name}, weightings={name: settings}), tasks)


def total(terms):
    return torch.stack(list(terms.values())).sum()


# Uncertainty


def test_uncertainty_by_hand() -> None:
    weighting = named("uncertainty", ("det", "pose"), start=0.5)
    losses = {"det/l1": torch.tensor(2.0), "det/class": torch.tensor(1.0), "pose/l1": torch.tensor(0.1)}
    terms = weighting(losses)
    assert terms["det/l1"].item() == pytest.approx(2 * math.exp(-0.5))
    assert terms["pose/uncertainty"].item() == 0.5
    assert weighting.factors() == pytest.approx({"det": math.exp(-0.5), "pose": math.exp(-0.5)})
    total(terms).backward()
    # d/ds (exp(-s) L + s) = 1 - exp(-s) L: a task of large losses is trusted less
    assert weighting.s.grad.tolist() == pytest.approx([1 - 3 * math.exp(-0.5), 1 - 0.1 * math.exp(-0.5)])


def test_uncertainty_settles_where_a_task_weighs_one_over_its_loss() -> None:
    weighting = named("uncertainty", ("det", "pose"))
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        total(weighting({"det/l1": torch.tensor(4.0), "pose/l1": torch.tensor(0.25)})).backward()
        optimizer.step()
    assert (-weighting.s).exp().tolist() == pytest.approx([1 / 4, 1 / 0.25], rel=1e-3)


def test_a_task_without_labels_does_not_learn_to_trust_itself() -> None:
    weighting = named("uncertainty", ("det", "pose"))
    terms = weighting({"det/l1": torch.tensor(4.0), "pose/l1": torch.tensor(0.0)})
    total(terms).backward()
    assert weighting.s.grad.tolist() == [1 - 4, 0]
    assert terms["pose/uncertainty"].item() == 0


# Gradient norms, on L_t = k_t w^2 with one shared weight w = 1, whose gradient is 2 k_t


def quadratics(weight: torch.Tensor, **factors: float):
    return {f"{task}/loss": factor * weight**2 for task, factor in factors.items()}


def gradnorm(tasks: tuple[str, ...] = ("det", "pose"), **settings: float):
    weight = nn.Parameter(torch.ones(()))
    weighting = named("gradnorm", tasks, **{"every": 1, **settings})
    weighting.begin([weight])
    return weighting, weight


def test_the_first_weights_give_every_task_the_same_gradient() -> None:
    weighting, weight = gradnorm()
    terms = weighting(quadratics(weight, det=3.0, pose=0.5))
    # n = 6, 1 and r = 1, 1: w = 2 (1/6) / (7/6), 2 (1) / (7/6)
    assert weighting.factors() == pytest.approx({"det": 2 / 7, "pose": 12 / 7})
    gradients = [torch.autograd.grad(term, weight, retain_graph=True)[0].item() for term in terms.values()]
    assert gradients == pytest.approx([12 / 7, 12 / 7])


@pytest.mark.parametrize(("alpha", "expected"), [(1.0, 2.0), (0.0, 1.0), (2.0, 4.0)])
def test_a_task_that_learns_slowly_gets_more(alpha: float, expected: float) -> None:
    weighting, weight = gradnorm(alpha=alpha, decay=0.0)
    weighting(quadratics(weight, det=3.0, pose=0.5))
    terms = weighting(quadratics(weight, det=1.5, pose=0.5))
    # det has halved its loss, pose none of it: r = 2/3, 4/3, so gradients are as 1 to 2^alpha
    first, second = (torch.autograd.grad(term, weight, retain_graph=True)[0] for term in terms.values())
    assert (second / first).item() == pytest.approx(expected)
    assert weighting.weights().sum().item() == pytest.approx(2)


def test_averages_move_by_their_decay() -> None:
    weighting, weight = gradnorm(decay=0.75)
    for factor in (1.0, 3.0):
        weighting(quadratics(weight, det=factor, pose=1.0))
    assert weighting.norms.tolist() == pytest.approx([0.75 * 2 + 0.25 * 6, 2])
    assert weighting.levels.tolist() == pytest.approx([0.75 * 1 + 0.25 * 3, 1])
    assert weighting.first.tolist() == [1, 1]


def test_norms_are_taken_every_few_updates() -> None:
    weighting, weight = gradnorm(decay=0.0, every=2)
    seen = []
    for factor in (1.0, 2.0, 3.0, 4.0):
        weighting(quadratics(weight, det=factor, pose=1.0))
        seen.append(weighting.norms[0].item())
    assert seen == [2, 2, 6, 6]


def test_a_task_without_labels_keeps_its_averages_and_has_no_part() -> None:
    weighting, weight = gradnorm(("det", "pose", "seg"))
    terms = weighting(quadratics(weight, det=3.0, pose=0.5, seg=0.0))
    assert weighting.weights().tolist() == pytest.approx([2 / 7, 12 / 7, 1])
    assert terms["seg/loss"].item() == 0
    before = weighting.norms.clone()
    weighting(quadratics(weight, det=0.0, pose=0.5, seg=0.0))
    assert torch.equal(weighting.norms, before)


def test_a_loss_that_is_not_finite_spoils_no_other_task() -> None:
    weighting, weight = gradnorm()
    weighting(quadratics(weight, det=3.0, pose=0.5))
    terms = weighting(quadratics(weight, det=math.nan, pose=0.5))
    assert [bool(term.isfinite()) for term in terms.values()] == [False, True]
    assert bool(weighting.norms.isfinite().all())


def test_averages_are_part_of_the_state() -> None:
    weighting, weight = gradnorm()
    weighting(quadratics(weight, det=3.0, pose=0.5))
    other, _ = gradnorm()
    other.load_state_dict(weighting.state_dict())
    assert torch.equal(other.weights(), weighting.weights())


def test_what_gradnorm_refuses() -> None:
    with pytest.raises(ConfigError) as frozen:
        named("gradnorm", ("det",)).begin([])
    assert str(frozen.value) == (
        "config: train.weighting is 'gradnorm', but the backbone's last block is not trained, so the tasks "
        "share no gradient; take 'fixed' or 'uncertainty', or raise train.backbone_lr."
    )
    weighting, _ = gradnorm()
    apart = nn.Parameter(torch.ones(()))
    with pytest.raises(PluginError) as deaf:
        weighting({"det/loss": apart**2, "pose/loss": apart})
    assert str(deaf.value) == (
        "weighting 'gradnorm': the loss of task 'det' does not read the backbone's last block, so there is "
        "no shared gradient to balance; take another train.weighting."
    )
    with pytest.raises(ConfigError, match=r"config: weightings\.gradnorm\.alpha is -1"):
        named("gradnorm", ("det",), alpha=-1)


def test_both_are_parts_that_a_plugin_brings() -> None:
    assert registry().extension("weighting", "uncertainty") is Uncertainty
    assert registry().extension("weighting", "gradnorm") is GradNorm
    assert GradNormConfig().alpha == 1.5


# Processes


WORKER = """
import torch
import torch.distributed as dist
from mtvit_train.distributed.ranks import mean_over_ranks

dist.init_process_group("gloo")
print(mean_over_ranks(torch.tensor([1.0 + 2 * dist.get_rank(), 5.0])).tolist())
dist.destroy_process_group()
"""


def test_processes_agree_on_the_mean(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    done = forked(str(tmp_path / "worker.py"))
    assert done.stdout.splitlines() == ["[2.0, 5.0]"] * 2, done.stderr
    alone = torch.tensor([1.0])
    assert mean_over_ranks(alone).tolist() == [1.0]
