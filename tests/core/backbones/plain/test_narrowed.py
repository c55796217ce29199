"""Plain ViTs that are cut to a smaller shape by their options, and options that do not fit."""

from typing import Any

import pytest

from mtvit_core.backbones.absent import AbsentBlock
from mtvit_core.backbones.plain.family import create_plain
from mtvit_core.errors import ConfigError

TINY: dict[str, Any] = {"embed_dim": 48, "depth": 3, "num_heads": 3}
CANVAS = (32, 48)


def test_a_cut_model_says_its_sizes() -> None:
    found = create_plain(
        "vit_tiny_patch16_224",
        CANVAS,
        options={**TINY, "width": 40, "block_heads": [2, 0, 3], "block_ratios": [3, 0, 4], "token_width": 48},
    )
    first, gone, last = found.blocks()
    assert isinstance(gone, AbsentBlock)
    assert (first.attn.num_heads, last.attn.num_heads) == (2, 3)
    assert (first.attn.qkv.out_features, first.attn.qkv.in_features) == (96, 40)
    assert (first.mlp.fc1.out_features, last.mlp.fc1.out_features) == (120, 160)
    assert first.norm1.normalized_shape == (40,)
    assert found.vit.patch_embed.proj.out_channels == 40
    assert (found.spec.width, found.spec.depth, found.spec.class_tokens) == (48, 3, (48,))


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        (
            "vit_tiny_patch16_224",
            {"width": 64},
            "width is 64, but the model by this name has 48; give that at most.",
        ),
        (
            "vit_tiny_patch16_224",
            {"block_heads": [3, 4, 3]},
            "block_heads[1] is 4, but the model by this name has 3; give that at most.",
        ),
        (
            "vit_tiny_patch16_224",
            {"block_heads": [3, 3]},
            "block_heads has 2 entries; give one for each of its 3 blocks.",
        ),
        (
            "vit_tiny_patch16_224",
            {"block_ratios": [4, 4, 5]},
            "hidden width of block 2 is 240, but the model by this name has 192; give that at most.",
        ),
        (
            "vit_tiny_patch16_224",
            {"block_heads": [0, 0, 0]},
            "block_heads are all 0; let one block stay at least.",
        ),
        (
            "vit_tiny_patch16_224",
            {"token_width": 40},
            "token_width is 40, but the trunk is 48 wide; give that or more, or 0 for that of the trunk.",
        ),
        (
            "vit_small_patch16_rope_mixed_224",
            {"width": 32},
            "its heads have rotary positions of their own, so it cannot be cut to fewer heads; take another "
            "plain ViT, as vit_small_patch16_224 or vit_small_patch16_dinov3.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(name: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_plain(name, CANVAS, options={**TINY, **options})
    assert str(caught.value) == f"backbone {name!r}: {complaint}"
