"""Muon for the matrices of blocks and hidden layers: who is updated by what, and how an update looks."""

import pytest
import torch
from torch import nn

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import TrainConfig
from mtvit_train.optim.muon import Muon, orthogonal
from mtvit_train.optim.muon_and_adamw import MuonAndAdamW
from mtvit_train.optim.param_groups import make_optimizer


def small_model() -> mtvit_core.MultiTaskViT:
    torch.manual_seed(0)
    options: dict[str, bool | int | float | str] = {
        "embed_dim": 64,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 16,
    }
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    return mtvit_core.build(backbone, ["det"])


def test_blocks_and_hidden_layers_have_muon_and_everything_else_has_adamw() -> None:
    model = small_model()
    optimizer = make_optimizer(model, TrainConfig(optimizer="muon", layer_decay=0.5), nn.Module())
    assert len(optimizer.parts) == 2
    by_muon = {id(p) for group in optimizer.parts[1].param_groups for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in by_muon}
    assert names == {
        f"backbone.vit.blocks.{block}.{part}.weight"
        for block in (0, 1)
        for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    } | {
        f"tasks.det.{part}.weight"
        for part in (
            "head.bbox_embed.layers.0",
            "head.bbox_embed.layers.1",
            "head.reader.cells.cut",
            "head.reader.correct.join",
            "head.reader.say.join",
            "tokens.det.box.layers.0",
            "tokens.det.position.layers.0",
        )
    }
    every = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(every) == len({id(p) for p in every}) == len(list(model.parameters()))
    assert {group["peak"] for group in optimizer.parts[1].param_groups} == {0.01, 0.01 * 0.5, 0.01 * 0.25}


def test_without_muon_there_is_one_part() -> None:
    assert len(make_optimizer(small_model(), TrainConfig(), nn.Module()).parts) == 1


def test_an_update_turns_all_directions_at_the_same_pace() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(32, 32))
    other = nn.Parameter(torch.zeros(3))
    group = {"lr": 0.1, "weight_decay": 0.0}
    optimizer = MuonAndAdamW(
        [{"params": [weight], **group}], [{"params": [other], **group}], betas=(0.9, 0.95)
    )
    scale = torch.logspace(-1, 1, 32).diag()  # directions whose gradients differ a hundredfold
    weight.grad, other.grad = torch.linalg.qr(torch.randn(32, 32))[0] @ scale, torch.ones(3)
    optimizer.step()
    paces = torch.linalg.svdvals(weight.detach())
    assert 0.04 < paces.min() < paces.max() < 0.15
    assert (other < 0).all()
    optimizer.zero_grad()
    assert weight.grad is None
    assert other.grad is None


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16), (5, 1)])
def test_in_bfloat16_it_is_torch_s(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(shape))
    other = nn.Parameter(ours.detach().clone())
    group = {"lr": 0.1, "weight_decay": 0.05}
    optimizers = (
        Muon([{"params": [ours], **group}], dtype=torch.bfloat16),
        torch.optim.Muon([{"params": [other], **group}], momentum=0.95),
    )
    for _ in range(4):
        ours.grad = torch.randn(shape)
        other.grad = ours.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        assert torch.equal(ours, other)


@pytest.mark.parametrize("shape", [(24, 24), (24, 96), (96, 24)])
def test_a_rounding_of_the_gradient_stays_small(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    faint = torch.randn(shape[0], 3) @ torch.randn(3, shape[1]) + 1e-5 * torch.randn(shape)
    rounded = faint * (1 + 6e-8 * torch.randn(shape))
    change = orthogonal(faint, torch.float32) - orthogonal(rounded, torch.float32)
    assert 0 < change.abs().max() < 1e-4


@pytest.mark.parametrize(("backbone", "muon"), [(None, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_it_multiplies_in_the_type_of_the_backbone(backbone: torch.dtype | None, muon: torch.dtype) -> None:
    model = small_model()
    model.backbone.precision = backbone
    part = make_optimizer(model, TrainConfig(optimizer="muon"), nn.Module()).parts[1]
    assert isinstance(part, Muon)
    assert part.dtype == muon


def test_zeros_stay_zeros() -> None:
    assert not orthogonal(torch.zeros(4, 3), torch.float32).any()


def test_a_vector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"found a parameter of shape \(3,\)"):
        Muon([{"params": [nn.Parameter(torch.zeros(3))], "lr": 0.1}])
