"""Options that are mtvit's own: padding before patches, epsilon, stem, fixed positions, positions again."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.backbones.plain.options import sine_positions
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import build
from mtvit_core.model.checkpoint import load, save

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 3, "class_token": False, "global_pool": ""}
CANVAS = (64, 48)


def make(
    canvas: tuple[int, int] = CANVAS, name: str = "vit_tiny_patch16_224", **options: Any
) -> PlainBackbone:
    return create_backbone(name, canvas, options={**SMALL, **options}).eval()


def pixels(count: int = 2, canvas: tuple[int, int] = CANVAS) -> Tensor:
    return torch.randint(0, 256, (count, 3, *canvas), dtype=torch.uint8)


@torch.no_grad()
def test_patches_start_two_pixels_early_and_the_last_two_are_never_read():
    padded, plain = make(patch_padding=2), make()
    plain.load_state_dict(padded.state_dict())
    images = pixels()
    moved = F.pad(plain.normalise(images), [2, 0, 2, 0])[:, :, :64, :48]

    tokens = padded.vit.patch_embed(padded.normalise(images))

    assert tokens.shape == (2, 4, 3, 48)
    torch.testing.assert_close(tokens, plain.vit.patch_embed(moved), atol=1e-5, rtol=1e-5)


def test_epsilon_of_every_norm():
    norms = [m for m in make(norm_eps=1e-5).modules() if isinstance(m, torch.nn.LayerNorm)]

    assert len(norms) == 3 * 2 + 1
    assert {norm.eps for norm in norms} == {1e-5}


def test_sine_positions_are_those_of_the_formula():
    rows, columns, width = 4, 3, 8
    table = sine_positions((rows, columns), width)

    assert table.shape == (1, 12, 8)
    for y in range(rows):
        for x in range(columns):
            for i in range(4):
                power = 10000 ** (2 * (i // 2) / 4)
                wave = math.sin if i % 2 == 0 else math.cos
                row = wave((y + 1) / (rows + 1e-6) * 2 * math.pi / power)
                column = wave((x + 1) / (columns + 1e-6) * 2 * math.pi / power)
                assert table[0, y * columns + x, i].item() == pytest.approx(row, abs=1e-5)
                assert table[0, y * columns + x, 4 + i].item() == pytest.approx(column, abs=1e-5)


def test_fixed_positions_are_saved_but_not_trained():
    backbone = make(positions="sine")

    assert "vit.pos_embed" in backbone.state_dict()
    assert "vit.pos_embed" not in dict(backbone.named_parameters())
    torch.testing.assert_close(backbone.vit.pos_embed, sine_positions((4, 3), 48))


@torch.no_grad()
@pytest.mark.parametrize("grid", [(4, 3), (2, 5)])
@pytest.mark.parametrize("class_token", [False, True])
def test_positions_are_added_to_the_context_before_every_block(grid: tuple[int, int], class_token: bool):
    backbone = make(positions_again=True, class_token=class_token)
    torch.nn.init.normal_(backbone.vit.pos_embed)
    images = pixels(2, (16 * grid[0], 16 * grid[1]))
    group = TokenGroup("pose", 5, 1, LearnedQueries(5, 48, std=1.0), "joint", (3,))

    features = backbone(images, [group])

    vit = backbone.vit
    patches = vit.patch_embed(backbone.normalise(images))
    table = vit._pos_embed(torch.zeros_like(patches))
    if class_token:
        table[:, :1] -= vit.cls_token
    x = vit._pos_embed(patches)
    context = x.shape[1]
    for i, block in enumerate(vit.blocks):
        if i:
            x = torch.cat([x[:, :context] + table, x[:, context:]], 1)
        if i == 1:
            x = torch.cat([x, group.source.weight.expand(2, -1, -1)], 1)
        x = block(x)
    expected = vit.norm(x)
    torch.testing.assert_close(features.last.queries["pose"], expected[:, context:], atol=1e-5, rtol=1e-5)
    found = features.last.patches.flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected[:, int(class_token) : context], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_stem_makes_a_quarter_map_that_patches_are_cut_from():
    backbone = make(stem="bottleneck", patch_size=[16, 12])

    stem, cut = backbone.vit.patch_embed.proj
    assert stem(torch.zeros(1, 3, 64, 48)).shape == (1, 256, 16, 12)
    assert (cut.kernel_size, cut.stride) == ((4, 3), (4, 3))
    assert backbone(pixels()).last.patches.shape == (2, 48, 4, 4)


def test_varied_models_come_back_from_a_file(tmp_path: Path):
    options = {
        "patch_size": [16, 12], "patch_padding": 1, "norm_eps": 1e-5, "stem": "bottleneck",
        "positions": "sine", "positions_again": True, "final_norm": False, "qkv_bias": False,
    }  # fmt: skip
    model = build(make(**options)).eval()
    save(model, tmp_path / "model.safetensors")

    again = load(tmp_path / "model.safetensors")

    images = pixels()
    assert again.backbone.options == model.backbone.options
    with torch.no_grad():
        assert torch.equal(again.features(images).last.patches, model.features(images).last.patches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_padding": 8}, "patch_padding is 8; give less than half the patch, 16 x 16"),
        (
            {"stem": "bottleneck", "patch_size": [16, 6]},
            r"the patch, 16 x 6, must be a multiple of 4\.",
        ),
        ({"positions": "sine", "class_token": True}, "need a table of patches alone"),
        ({"positions_again": True, "pos_embed": "none"}, "it has no table of positions to add"),
        ({"patch_padding": -1}, r"options\.patch_padding is -1: input should be greater than or equal to 0"),
        ({"stem": "resnet"}, r"options\.stem is 'resnet': input should be 'none' or 'bottleneck'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_positions_between_belong_to_models_with_a_table() -> None:
    with pytest.raises(
        ConfigError, match="positions_between is set, but it has no table of positions to add"
    ):
        make(positions_between=True, pos_embed="none")
