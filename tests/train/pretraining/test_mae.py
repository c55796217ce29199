"""The masked autoencoder."""

from typing import Any

import pytest
import torch

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.pretraining import MaeConfig
from mtvit_train.pretraining import mae
from mtvit_train.pretraining.mae import MaskedAutoencoder, normalised_patches, take
from support.models import broken_backbones

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
    model = MaskedAutoencoder(tiny(), MaeConfig()).eval()
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
    model = MaskedAutoencoder(tiny(), MaeConfig(width=24, heads=2))
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


def test_backbones_of_other_families_are_refused() -> None:
    other = broken_backbones.Whole("broken:Whole", (64, 64), {}, broken_backbones.example.NanoOptions())
    with pytest.raises(ConfigError) as error:
        MaskedAutoencoder(other, MaeConfig())
    assert str(error.value) == (
        "backbone 'broken:Whole': masked autoencoding runs the blocks of timm's plain ViTs on the patches "
        "that are seen; take one of those, or --method distill."
    )


def test_blocks_of_the_decoder_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    block = mae.Block

    def counted(*given: Any, **named: Any) -> Any:
        built.append(1)
        return block(*given, **named)

    monkeypatch.setattr(mae, "Block", counted)
    assert len(MaskedAutoencoder(tiny(), MaeConfig(depth=3)).blocks) == len(built) == 3


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_small_patch16_rope_mixed_224"])
def test_rotary_positions_are_those_of_the_patches_seen(name: str) -> None:
    """All patches in another order are the same image: attention sees where each lies, not its place."""
    backbone = create_backbone(name, (32, 64), options={"depth": 2})
    for weight in backbone.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    model = MaskedAutoencoder(backbone, MaeConfig()).eval()
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    embedded = mae.timm_blocks.embed(backbone.vit, backbone.normalise(images))
    start, tokens = backbone.prefix, embedded.tokens
    order = torch.stack([torch.randperm(8), torch.randperm(8)])
    turned = torch.cat([tokens[:, :start], take(tokens[:, start:], order)], 1)
    found = model._encode(turned, embedded.rope, order)[:, start:]
    truth = backbone(images).last.patches.flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, take(truth, order), atol=1e-4, rtol=1e-4)
    loss = model(images)
    loss.backward()
    assert loss.isfinite()
