"""The masked autoencoder and the command that pre-trains a backbone."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import ModelConfig
from mtvit_train.pretraining.mae import MaskedAutoencoder, normalised_patches, take
from mtvit_train.pretraining.pretrain import pretrain
from support import broken_backbones

OPTIONS: dict[str, bool | int | float | str] = {"patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def tiny() -> PlainBackbone:
    return create_backbone("vit_tiny_patch16_224", (64, 64), options=OPTIONS)


def test_patches_are_cut_row_by_row_and_normalised_each() -> None:
    images = torch.randn(2, 3, 16, 24)
    patches = normalised_patches(images, (8, 8))
    assert patches.shape == (2, 6, 192)
    cut = images[1, :, 8:16, 16:24].permute(1, 2, 0).flatten()
    torch.testing.assert_close(patches[1, 5], (cut - cut.mean()) / cut.std(), atol=1e-4, rtol=1e-4)


def test_take_selects_tokens_of_each_image() -> None:
    tokens = torch.arange(24.0).view(2, 3, 4)
    chosen = take(tokens, torch.tensor([[2], [0]]))
    assert torch.equal(chosen[:, 0], torch.stack([tokens[0, 2], tokens[1, 0]]))


def test_hidden_patches_do_not_reach_the_encoder() -> None:
    torch.manual_seed(3)
    model = MaskedAutoencoder(tiny()).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    torch.manual_seed(11)
    order = torch.rand(1, 64).argsort(1)
    seen: list[torch.Tensor] = []
    handle = model.narrow.register_forward_hook(
        lambda _module, inputs, _output: seen.append(inputs[0].detach())
    )
    changed = images.clone()
    for patch in order[0, 16:].tolist():
        row, column = divmod(patch, 8)
        changed[:, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 0
    for variant in (images, changed):
        torch.manual_seed(11)
        model(variant)
    handle.remove()
    torch.testing.assert_close(seen[0], seen[1])


def test_a_few_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(tiny(), width=24, heads=2)
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    images = images.repeat_interleave(8, 2).repeat_interleave(8, 3)
    images[:, :, ::4] //= 2  # stripes that every patch shares
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1
    assert sum(losses[-5:]) / 5 < 0.8  # a patch of one value would give 1


def test_pretrained_weights_load_into_the_backbone(tmp_path: Path) -> None:
    table = ModelConfig(backbone="vit_tiny_patch16_224", options=OPTIONS, image_size=(64, 64))
    out = tmp_path / "weights" / "vit.safetensors"
    loss = pretrain(
        table, out, images=6, steps=3, batch_size=2, seed=1, method="mae", console=Console(quiet=True)
    )
    assert 0 < loss < 10
    loaded = create_backbone("vit_tiny_patch16_224", (64, 64), pretrained=out, options=OPTIONS)
    assert loaded.vit.pos_embed.std() > 0
    again = tmp_path / "again.safetensors"
    pretrain(table, again, images=6, steps=3, batch_size=2, seed=1, method="mae", console=Console(quiet=True))
    assert out.read_bytes() == again.read_bytes()


def test_backbones_of_other_families_are_refused() -> None:
    other = broken_backbones.Whole("broken:Whole", (64, 64), {}, broken_backbones.example.NanoOptions())
    with pytest.raises(ConfigError) as error:
        MaskedAutoencoder(other)
    assert str(error.value) == (
        "backbone 'broken:Whole': masked autoencoding runs the blocks of timm's plain ViTs on the patches "
        "that are seen; take one of those, or --method figures."
    )


def test_rotary_positions_are_refused() -> None:
    options: dict[str, bool | int | float | str] = {"depth": 1}
    model = MaskedAutoencoder(create_backbone("vit_small_patch16_dinov3", (64, 64), options=options))
    with pytest.raises(ConfigError, match=r"rotary positions would no longer fit the rest; .* figures"):
        model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
