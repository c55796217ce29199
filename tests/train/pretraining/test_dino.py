"""Self-distillation: its terms, against sums written out, and what the student does not see."""

import math

import torch

from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.pretraining import DinoConfig
from mtvit_train.pretraining.dino import (
    OwnAverage,
    SelfDistillation,
    between_crops,
    draw_hidden,
    koleo,
    paint,
    sinkhorn,
)
from mtvit_train.pretraining.pretext import Crops

OPTIONS: dict[str, bool | int | float | str] = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def test_each_crop_is_compared_with_every_other_one() -> None:
    truth, guess = torch.rand(3, 2, 5).softmax(-1), torch.rand(3, 4, 5).log_softmax(-1)
    pairs = [(g, c) for g in range(2) for c in range(4) if g != c]
    wanted = sum(-(truth[:, g] * guess[:, c]).sum(-1).mean() for g, c in pairs) / len(pairs)
    torch.testing.assert_close(between_crops(truth, guess), wanted)


def test_sinkhorn_uses_every_prototype_alike() -> None:
    q = sinkhorn(torch.randn(64, 4) + torch.tensor([5.0, 0, 0, 0]))
    torch.testing.assert_close(q.sum(1), torch.ones(64))
    torch.testing.assert_close(q.sum(0), torch.full((4,), 16.0), atol=1.5, rtol=0)


def test_koleo_is_minus_the_log_of_the_nearest_distance() -> None:
    tokens = torch.tensor([[2.0, 0], [0, 1], [-1, 0]])
    assert math.isclose(koleo(tokens).item(), -math.log(math.sqrt(2)), rel_tol=1e-5)
    assert koleo(torch.ones(4, 3)).isfinite()


def test_hidden_patches_are_blocks_in_half_of_the_crops() -> None:
    torch.manual_seed(0)
    hidden = draw_hidden((40, 2), (14, 14), 0.5)
    share = hidden.float().mean(-1).flatten()
    assert 25 < (share == 0).sum() < 55
    assert 0.1 < share[share > 0].mean() < 0.6
    assert not draw_hidden((4, 2), (14, 14), 0.0).any()


def test_the_student_sees_the_mean_colour_where_patches_are_hidden() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", (16, 24), options=OPTIONS)
    images = torch.randint(0, 256, (1, 3, 16, 24), dtype=torch.uint8)
    hidden = torch.tensor([[True, False, False, False, False, True]])
    painted = paint(images, hidden, backbone)
    assert backbone.normalise(painted)[0, :, :8, :8].abs().max() < 0.01
    assert torch.equal(painted[0, :, :8, 8:], images[0, :, :8, 8:])
    assert backbone.normalise(painted)[0, :, 8:, 16:].abs().max() < 0.01


def test_a_few_steps_lower_the_loss_and_move_the_centre() -> None:
    torch.manual_seed(0)
    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options=OPTIONS)
    config = DinoConfig(prototypes=16, hidden=32, bottleneck=8, koleo=0.0)
    model, teacher = SelfDistillation(backbone, config), OwnAverage(0.5)
    teacher.follow(SelfDistillation(backbone, config))
    crops = Crops(*(torch.randint(0, 256, (6, n, 3, s, s), dtype=torch.uint8) for n, s in ((2, 32), (3, 16))))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(20):
        torch.manual_seed(step % 2)
        terms = model.losses(crops, "image", teacher.lessons(crops, "image"))
        assert terms.keys() == {"dino/crops", "dino/patches"}
        loss = torch.stack([*terms.values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert model.centre.abs().sum() > 0
