"""The learning rate over a run, parameter groups, and the moving average."""

import math

import pytest
import torch
from torch import nn

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import TrainConfig
from mtvit_train.optim.ema import AveragedWeights
from mtvit_train.optim.param_groups import make_optimizer, place
from mtvit_train.optim.schedule import rate


def test_rate_rises_linearly_then_falls_by_half_a_cosine() -> None:
    assert [rate(step, 100, 4, 0.1) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate(4, 100, 4, 0.1) == pytest.approx(1.0)
    assert rate(52, 100, 4, 0.1) == pytest.approx(0.1 + 0.9 * 0.5)
    assert rate(100, 100, 4, 0.1) == pytest.approx(0.1)
    assert rate(10, 10, 0, 0.0) == pytest.approx(0.0)


@pytest.fixture
def model() -> mtvit_core.MultiTaskViT:
    options = {"depth": 3, "embed_dim": 24, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options=options)
    return mtvit_core.build(backbone, ["det"])


def test_rates_fall_from_head_to_embedding_and_vectors_do_not_decay(model: mtvit_core.MultiTaskViT) -> None:
    config = TrainConfig(lr=1e-3, backbone_lr=0.5, layer_decay=0.5, weight_decay=0.1)
    placed = {name: place(name, p, model.backbone, config) for name, p in model.named_parameters()}
    scales = {
        "tasks.det.head.class_embed.weight": 1.0,
        "backbone.vit.norm.weight": 0.5,
        "backbone.vit.blocks.2.attn.qkv.weight": 0.25,
        "backbone.vit.blocks.0.norm1.bias": 0.0625,
        "backbone.vit.patch_embed.proj.weight": 0.03125,
    }
    assert {name: placed[name].scale for name in scales} == scales
    without = {name for name, placement in placed.items() if not placement.decays}
    assert {"backbone.vit.pos_embed", "backbone.vit.cls_token", "backbone.vit.norm.weight"} <= without
    assert "backbone.vit.blocks.1.mlp.fc1.weight" not in without
    optimizer = make_optimizer(model, config, nn.Identity())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(placed)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_a_rate_of_zero_freezes_the_backbone(model: mtvit_core.MultiTaskViT) -> None:
    make_optimizer(model, TrainConfig(backbone_lr=0.0), nn.Identity())
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"tasks"}


def test_average_follows_slowly_and_copies_buffers() -> None:
    net = nn.BatchNorm1d(1)
    average = AveragedWeights(net, decay=0.9)
    with torch.no_grad():
        net.weight.fill_(3.0)
        net.running_mean.fill_(7.0)
    average.update(net, step=10**6)
    assert average.model.weight.item() == pytest.approx(0.9 * 1 + 0.1 * 3)
    assert average.model.running_mean.item() == 7.0
    average.update(net, step=0)  # the first updates forget the start: decay is at most 1 / 10
    assert average.model.weight.item() == pytest.approx(0.1 * 1.2 + 0.9 * 3)
    assert not any(p.requires_grad for p in average.model.parameters())
    assert math.isclose(AveragedWeights(net, 0.0).decay, 0.0)
