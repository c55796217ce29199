"""How gates are learned: random, learned within a budget, frozen; the same draws in every process."""

from typing import Any

import pytest
import torch

import mtvit_core
from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.estimators import Gumbel, StraightThrough
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import RunConfig, TrainConfig
from mtvit_train.config.sharing import SharingConfig
from mtvit_train.optim.gate_course import GateCourse, gate_course
from mtvit_train.optim.param_groups import make_optimizer
from mtvit_train.weighting.fixed import FixedConfig, FixedWeights, shared_weights

NAME = "branched:vit_tiny_patch16_224"
SIZES = {"patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}


def backbone(name: str = NAME, **options: Any) -> BranchedBackbone:
    torch.manual_seed(0)
    given = {"tasks": "det,seg", **options} if name == NAME else options
    return create_backbone(name, (32, 32), options={**SIZES, **given}).train()


def course(**table: Any) -> GateCourse:
    return GateCourse(backbone(shared_blocks=1), SharingConfig(**table), steps=100, seed=3)


def test_gates_are_random_then_learned_then_frozen() -> None:
    made = course(warmup=0.1, freeze_at=0.8)
    phases, drawn = [], set()
    for step in range(100):
        made.begin(step)
        phases.append(made.phase)
        drawn.add(str(made.backbone.drawn))
        assert (made.backbone.estimator is not None) == made.backbone.apart == (made.phase == "learned")
    assert [phases.count(phase) for phase in ("random", "learned", "frozen")] == [10, 70, 20]
    assert len(drawn) == 11  # ten draws, and none


def test_a_draw_follows_from_seed_and_update() -> None:
    one, other = course(estimator="gumbel"), course(estimator="gumbel")
    torch.manual_seed(9)  # which must not matter
    other.begin(4)
    for step in (2, 50):
        one.begin(step)
        other.begin(step)
        assert one.backbone.gates == other.backbone.gates
    first = one.backbone.estimator
    assert isinstance(first, Gumbel)
    assert torch.equal(first.noise, other.backbone.estimator.noise)
    one.begin(51)
    assert not torch.equal(first.noise, one.backbone.estimator.noise)


def test_the_temperature_falls_geometrically() -> None:
    made = course(estimator="gumbel", warmup=0.0, freeze_at=0.8, temperature=(4.0, 0.04))
    found = []
    for step in (0, 40):
        made.begin(step)
        found.append(made.backbone.estimator.temperature)
    assert found == pytest.approx([4.0, 0.4])


def test_frozen_gates_keep_to_the_budget_nearest_to_shared_first() -> None:
    made = course(budget=1.3)
    with torch.no_grad():
        made.scores.fill_(0.4)
        made.scores[0, 0, 0] = 0.1  # what most wants to be own
        made.scores[1, 1, 3] = 0.9
    made.begin(99)
    gates, plain = made.backbone.gates, made.backbone.plain_size
    assert 1.2 < made.backbone.stored / plain <= 1.3
    assert ("det", 1, "qkv") in gates.own
    assert ("seg", 2, "fc2") not in gates.own
    free = course()
    with torch.no_grad():
        free.scores.copy_(made.scores)
    free.begin(99)
    assert gates.own < free.backbone.gates.own
    assert len(free.backbone.gates.own) == free.scores.numel() - 1


@pytest.mark.parametrize("estimator", ["straight-through", "gumbel"])
def test_what_is_stored_above_the_budget_costs(estimator: str) -> None:
    made = course(estimator=estimator, budget=1.2, budget_weight=2.0)
    with torch.no_grad():
        made.scores.fill_(0.3)
    made.begin(50)
    (cost,) = made.terms().values()
    cost.backward()
    assert (made.scores.grad <= 0).all()  # a higher score shares more, and costs less
    if estimator == "straight-through":
        limit = 1.2 * made.backbone.plain_size
        assert cost.item() == pytest.approx(2 * (made.backbone.stored - limit) / limit, rel=1e-5)
    with torch.no_grad():
        made.scores.fill_(20.0 if estimator == "gumbel" else 1.0)
    made.begin(51)
    assert made.terms()["sharing/budget"] == 0
    made.begin(99)
    assert made.terms()["sharing/budget"] == 0
    assert course().terms() == {}


def test_straight_through_scores_stay_between_0_and_1() -> None:
    for estimator, most in (("straight-through", 1.0), ("gumbel", 7.0)):
        made = course(estimator=estimator)
        with torch.no_grad():
            made.scores.fill_(7.0)
        made.begin(50)
        assert made.scores.max() == most


def test_scores_have_a_rate_of_their_own_and_never_decay() -> None:
    made = backbone()
    model = mtvit_core.build(made, ["det"])
    config = RunConfig(plugins=("det",), sharing={"score_lr": 7.0}, model={"options": {}})
    GateCourse(made, config.sharing, 10, 0)
    train = TrainConfig(lr=1e-3, optimizer="muon")
    groups = make_optimizer(model, train, FixedWeights(FixedConfig(), ("det",))).param_groups
    (group,) = [g for g in groups if any(p is made.scores for p in g["params"])]
    assert group["peak"] == pytest.approx(7e-3)
    assert group["weight_decay"] == 0
    assert len(group["params"]) == 1


def test_noise_parts_copies_and_nothing_else() -> None:
    plain, noisy, again = backbone(), backbone(), backbone()
    for made in (noisy, again):
        GateCourse(made, SharingConfig(noise=0.1), 10, 5)
    for name, weight in plain.state_dict().items():
        own = ".own." in name and weight.ndim == 2
        assert torch.equal(weight, noisy.state_dict()[name]) != own, name
        assert torch.equal(noisy.state_dict()[name], again.state_dict()[name])


def test_an_estimator_is_told() -> None:
    made = course()
    made.begin(50)
    assert made.backbone.estimator == StraightThrough()


def test_what_balances_gradients_reads_weights_of_every_task() -> None:
    made = backbone(gates="det: 2.all; seg: 2.qkv")
    names = {id(p): name for name, p in made.named_parameters()}
    read = {names[id(p)] for p in shared_weights(made)}
    assert read == {f"vit.blocks.2.norm{i}.{part}" for i in (1, 2) for part in ("weight", "bias")}


@pytest.mark.parametrize(
    ("name", "options", "table", "said"),
    [
        ("vit_tiny_patch16_224", {}, {"sharing": {"budget": 1.5}}, "sharing has settings, but backbone"),
        (NAME, {"gates": "own"}, {"sharing": {"budget": 1.5}}, "learns no gates"),
        (
            NAME,
            {"tasks": "det,seg,pose"},
            {},
            "names 'pose', which this run does not train; it trains det, seg",
        ),
        (NAME, {"tasks": "det"}, {}, "does not name 'seg', which this run trains; .* name every task"),
        (NAME, {}, {"train": {"compile": True}}, "set train.compile=false"),
        (NAME, {"gates": "own"}, {"train": {"parallel": "fsdp"}}, "set train.parallel=ddp"),
        (NAME, {}, {"sharing": {"budget": 0.8}}, "sharing.budget is 0.8, .* give at least 1, or 0"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    name: str, options: dict[str, Any], table: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        gate_course(backbone(name, **options), RunConfig(plugins=("det", "seg"), **table), ["det", "seg"])
