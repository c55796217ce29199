"""A branched backbone against plain ones of the same weights."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core.backbones.branched.backbone import BranchedBackbone
from mtvit_core.backbones.branched.estimators import StraightThrough
from mtvit_core.backbones.branched.gates import LINEARS
from mtvit_core.backbones.branched.linears import layers_of, name_of, put
from mtvit_core.backbones.branched.routes import hard_blocks
from mtvit_core.deploy.program import tensors_of
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT

TASKS = ["det", "seg", "pose"]
PLAIN, BRANCHED = "vit_tiny_patch16_224", "branched:vit_tiny_patch16_224"
SIZES = {"patch_size": 8, "embed_dim": 24, "depth": 4, "num_heads": 2}
SETTINGS = {
    "det": {"queries": 5, "blocks": 2},
    "seg": {"queries": 5, "variant": "eomt", "blocks": 1},
    "pose": {"queries": 4, "blocks": 3},
}
MIXED = "det: 2.all 3.qkv; pose: 1.fc1 3.fc2"


def model(name: str = BRANCHED, tasks: list[str] = TASKS, **options: Any) -> MultiTaskViT:
    """A small model; of the same options, the same weights."""
    torch.manual_seed(0)
    given = {"tasks": ",".join(TASKS), **options} if name == BRANCHED else options
    backbone = create_backbone(name, (32, 32), options={**SIZES, **given})
    torch.manual_seed(1)
    return mtvit_core.build(backbone, {task: SETTINGS[task] for task in tasks}).eval()


def parted(made: MultiTaskViT) -> BranchedBackbone:
    """Its backbone, in which no copy is like another any more."""
    backbone = made.backbone
    assert isinstance(backbone, BranchedBackbone)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if ".own." in name:
                weight += 0.1 * torch.randn_like(weight)
    return backbone


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8, generator=generator)


def answers(made: MultiTaskViT, images: Tensor) -> dict[str, Tensor]:
    """All that a model predicts, by name."""
    with torch.no_grad():
        predictions = made(images)
    return {f"{task}{path}": x for task, found in predictions.items() for path, x in tensors_of(found, "")}


def hold_equal(found: dict[str, Tensor], wanted: dict[str, Tensor], most: float = 1e-6) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=most, rtol=most, msg=name)


def with_layers_of(made: MultiTaskViT, task: str) -> MultiTaskViT:
    """A plain model of one task with the layers that it owns or shares, and its head."""
    backbone = made.backbone
    assert isinstance(backbone, BranchedBackbone)
    plain = model(PLAIN, [task])
    for block, ours in zip(plain.backbone.blocks(), backbone.blocks(), strict=True):
        for linear in LINEARS:
            for path in layers_of(block, linear):
                own = ours.own[task]
                owned = name_of(path) in own
                put(block, path, own[name_of(path)] if owned else ours.get_submodule(path))
    plain.tasks[task].load_state_dict(made.tasks[task].state_dict())
    return plain


def test_all_shared_is_the_plain_backbone_to_the_bit(images: Tensor) -> None:
    made, plain = model(gates="shared"), model(PLAIN)
    hold_equal(answers(made, images), answers(plain, images), 0)
    assert made.backbone.passes(TASKS) == (("det", "seg", "pose"),)
    assert made.backbone.state_dict().keys() == plain.backbone.state_dict().keys()


@pytest.mark.parametrize("gates", [MIXED, "own", "seg: 3.proj", "det: 0.qkv; seg: 3.all; pose: 3.all"])
def test_each_task_gets_what_a_model_of_its_own_gives(gates: str, images: Tensor) -> None:
    made = model(gates=gates)
    parted(made)
    found = answers(made, images)
    for task in TASKS:
        wanted = answers(with_layers_of(made, task), images)
        hold_equal({name: x for name, x in found.items() if name.startswith(task)}, wanted)


def test_what_a_task_owns_changes_no_other(images: Tensor) -> None:
    made = model(gates=MIXED)
    before = answers(made, images)
    for name, weight in made.backbone.named_parameters():
        if ".own.pose." in name:
            weight.data.add_(1)
    after = answers(made, images)
    moved = {name.split("/")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"pose"}


@pytest.mark.parametrize("gates", ["shared", MIXED, "own", "random:1.5:3"])
def test_what_is_stored_is_what_is_counted(gates: str) -> None:
    backbone = model(gates=gates).backbone
    assert isinstance(backbone, BranchedBackbone)
    assert backbone.stored == sum(p.numel() for p in backbone.parameters())
    assert backbone.plain_size == sum(p.numel() for p in model(PLAIN).backbone.parameters())


def test_random_gates_fill_their_budget() -> None:
    first, same, other = (model(gates=f"random:1.5:{seed}").backbone for seed in (0, 0, 1))
    assert first.gates == same.gates != other.gates
    for backbone in (first, other):
        assert 1.48 < backbone.stored / backbone.plain_size <= 1.5


def test_what_tasks_have_in_common_is_run_once(images: Tensor) -> None:
    made = model(gates=MIXED)
    backbone, run = made.backbone, []

    def watched(plain: Any) -> Any:
        def step(block: Any, tokens: Tensor, rope: Any, layout: Any, masks: Any, first: int) -> Tensor:
            run.append(layout.context > 0)
            return plain(block, tokens, rope, layout, masks, first)

        return step

    for blocks in ({id(b): b for b in (*backbone.blocks(), *_variants(backbone))}).values():
        blocks.run = type(blocks.run)(watched(blocks.run.func), blocks)
    with torch.no_grad():
        made(images)
    assert sum(run) == backbone.gates.blocks_run(TASKS) == 4 + 2 + 3


def _variants(backbone: Any) -> Iterator[Any]:
    for blocks in backbone._routes.values():
        yield from blocks


def test_a_task_that_was_not_named_shares_everything(images: Tensor) -> None:
    made = model(gates="det: 2.qkv", tasks=["det", "seg", "pose"])
    some = model(gates="det: 2.qkv", **{"tasks": TASKS})
    assert made.backbone.passes(["det", "depth", "seg"]) == (("depth", "seg"), ("det",))
    hold_equal(answers(made, images), answers(some, images), 0)
    with pytest.raises(
        ConfigError, match="task 'depth' owns nothing, but qkv of block 0 is not there for it"
    ):
        model(gates="own").backbone._route(["depth"], None)


def test_learned_gates_begin_as_the_plain_backbone_and_settle_without_loss(images: Tensor) -> None:
    some = ["det", "pose"]  # in one pass, the context would see the queries of seg, which are joint
    hold_equal(answers(model(tasks=some, shared_blocks=1), images), answers(model(PLAIN, some), images))
    made = model(shared_blocks=1)
    backbone = parted(made)
    assert backbone.passes(TASKS) == (("det",), ("seg",), ("pose",))
    settled = backbone.settled()
    assert settled.stored == backbone.stored == sum(p.numel() for p in settled.parameters())
    assert sum(p.numel() for p in backbone.parameters()) > settled.stored
    before = answers(made, images)
    made.backbone = settled
    hold_equal(answers(made, images), before)
    assert "scores" not in settled.state_dict()
    assert settled.options["gates"] == str(backbone.gates)


def test_scores_of_shared_blocks_do_not_exist() -> None:
    backbone = model(shared_blocks=3).backbone
    assert isinstance(backbone, BranchedBackbone)
    assert backbone.scores.shape == (1, 3, 4)
    assert all(backbone.gates.leaves(task) >= 3 for task in TASKS)
    assert not any(".blocks.0.own" in name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_score_of_each_task_gets_the_gradient_of_its_losses_alone(
    checkpointing: bool, images: Tensor
) -> None:
    made = model().train()
    backbone = parted(made)
    backbone.estimator, backbone.checkpointing = StraightThrough(), checkpointing
    predictions = made(images)
    sum(
        x.float().pow(2).mean() for _, x in tensors_of(predictions["seg"], "") if x.is_floating_point()
    ).backward()
    grad = backbone.scores.grad
    assert grad[:, TASKS.index("seg")].all()
    assert not grad[:, [TASKS.index("det"), TASKS.index("pose")]].any()
    # Against differences: what a small step from the shared to the own weights changes.
    alone = with_mixture(made, images, "seg", block=2, linear="fc1", step=1e-3)
    torch.testing.assert_close(grad[2, 1, 2], alone, rtol=2e-2, atol=1e-6)


def with_mixture(
    made: MultiTaskViT, images: Tensor, task: str, block: int, linear: str, step: float
) -> Tensor:
    """The slope of a loss along W - W' at the weights that the gate chose."""
    backbone = made.backbone
    assert isinstance(backbone, BranchedBackbone)
    backbone.estimator = None
    shared = layers_of(backbone.blocks()[block], linear)["mlp.fc1"]
    own = backbone.blocks()[block].own[task]["fc1"]
    chosen = own if linear in backbone.gates.owned(task, block) else shared
    towards = [(s - o).detach().clone() for s, o in zip(shared.parameters(), own.parameters(), strict=True)]
    losses = []
    for sign in (1, -2):
        for weight, along in zip(chosen.parameters(), towards, strict=True):
            weight.data.add_(sign * step * along)
        with torch.no_grad():
            found = tensors_of(made(images)[task], "")
            losses.append(sum(x.double().pow(2).mean() for _, x in found if x.is_floating_point()))
    return torch.as_tensor((losses[0] - losses[1]) / (2 * step)).float()


def test_checkpointing_changes_no_gradient(images: Tensor) -> None:
    grads = []
    for checkpointing in (False, True):
        made = model().train()
        backbone = parted(made)
        backbone.estimator, backbone.checkpointing = StraightThrough(), checkpointing
        predictions = made(images)
        found = [x for task in TASKS for _, x in tensors_of(predictions[task], "") if x.is_floating_point()]
        sum(x.pow(2).mean() for x in found).backward()
        grads.append({name: p.grad for name, p in backbone.named_parameters()})
    assert {name for name, grad in grads[0].items() if grad is None}  # copies that no gate chose
    for name, grad in grads[0].items():
        if grad is None:
            assert grads[1][name] is None, name
        else:
            torch.testing.assert_close(grads[1][name], grad, msg=name)


def test_every_kind_of_block_branches(images: Tensor) -> None:
    """Separate queries, keys and values, rotary positions and gated feed-forward parts."""
    options = {"depth": 2, "embed_dim": 48, "num_heads": 3, "tasks": "a,b"}
    for name in ("vit_small_patch16_dinov3", "eva02_tiny_patch14_224"):
        canvas = (64, 64) if "16" in name else (56, 56)
        own = create_backbone(
            f"branched:{name}", canvas, options={**options, "gates": "a: 1.all; b: 0.all 1.all"}
        )
        assert len(own.gates.shared_by_none()) == 4
        named = {key.rpartition(".")[0].rpartition(".")[2] for key in own.state_dict() if ".own.a." in key}
        assert len(named) >= 4
        route = hard_blocks(own.blocks(), own.gates, "b")
        assert all(one is not other for one, other in zip(route, own.blocks(), strict=True))


def test_context_is_cached_up_to_the_first_branch_alone(images: Tensor) -> None:
    backbone = model(gates=MIXED).backbone
    assert set(backbone.context(images, [1])) == {1}
    with pytest.raises(ConfigError, match="freeze at most 1 blocks, share more of them"):
        backbone.context(images, [2])


def test_known_contexts_give_what_images_give(images: Tensor) -> None:
    made = model(gates="det: 2.all; pose: 3.fc2")
    wanted = answers(made, images)
    known = made.backbone.context(images, made.known_depths("image", 2))
    with torch.no_grad():
        found = made(images * 0, known=known)
    told = {f"{t}{path}": x for t, one in found.items() for path, x in tensors_of(one, "")}
    hold_equal(told, wanted)


def test_one_pass_of_features_is_refused_where_there_are_several(images: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"features: 3 passes answer .* for seg, det, pose"):
        model(gates=MIXED).features(images)


def test_queries_that_tasks_share_need_one_pass() -> None:
    backbone = create_backbone(BRANCHED, (32, 32), options={**SIZES, "tasks": "det,pose"})
    with pytest.raises(
        ConfigError, match=r"one pass has to answer det, seg, pose; .*set model.queries='task'"
    ):
        mtvit_core.build(backbone, TASKS, queries="instance")
    free = create_backbone(BRANCHED, (32, 32), options={**SIZES, "tasks": "det,pose", "gates": "shared"})
    assert mtvit_core.build(free, TASKS, queries="instance").shares("det")
