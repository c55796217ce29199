"""Learning a teacher's features: another patch and width, mixed images, standardised truth."""

import torch

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.pretraining import TeacherConfig
from mtvit_train.pretraining.distillation import Distillation, FeatureTeacher, Standardised, mixed
from mtvit_train.pretraining.pretext import Crops


def make(patch: int, width: int, side: int) -> PlainBackbone:
    options: dict[str, bool | int | float | str] = {
        "patch_size": patch,
        "embed_dim": width,
        "depth": 1,
        "num_heads": 2,
    }
    return create_backbone("vit_tiny_patch16_224", (side, side), options=options)


def test_a_student_of_another_patch_and_width_comes_near_its_teacher() -> None:
    torch.manual_seed(0)
    teacher = FeatureTeacher(make(14, 12, 42), mixup=True)
    model = Distillation(make(8, 24, 48), 12, TeacherConfig())
    crops = Crops(
        torch.randint(0, 256, (6, 1, 3, 48, 48), dtype=torch.uint8),
        torch.zeros(6, 0, 3, 8, 8, dtype=torch.uint8),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        torch.manual_seed(step % 3)
        lessons = teacher.lessons(crops, "image")
        assert lessons["patches"].shape == (6, 12, 3, 3)
        loss = torch.stack([*model.losses(crops, "image", lessons).values()]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(weight.grad is None for weight in teacher.backbone.parameters())


def test_images_are_mixed_in_pairs() -> None:
    images = torch.stack([torch.full((3, 2, 2), 200.0), torch.full((3, 2, 2), 100.0)]).to(torch.uint8)
    pixels = mixed(images)
    assert pixels.min() >= 100
    assert pixels.max() <= 200
    assert len(pixels.unique()) == 2


def test_features_are_standardised_by_one_number() -> None:
    torch.manual_seed(0)
    known = Standardised(3)
    x = torch.randn(500, 4, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([5.0, 0.0, -5.0])
    for part in x.split(50):
        known(part)
    z = known.eval()(x)
    torch.testing.assert_close(z.mean((0, 1)), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(z.var(), torch.tensor(1.0), atol=0.05, rtol=0)
    assert z[..., 2].std() > 2.5 * z[..., 0].std()
