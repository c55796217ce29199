"""The backbone without tasks is timm's own, for every family."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from mtvit_core.backbones.features import LayerFeatures
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.backbones.tokens import LearnedQueries, TokenGroup
from mtvit_core.errors import ShapeError
from mtvit_core.model.backbone import create_backbone

FAMILIES = {
    "ImageNet": ("vit_tiny_patch16_224", {}),
    "ImageNet, averaged": ("vit_medium_patch16_gap_240", {}),
    "query and key norm": ("vit_tiny_patch16_224", {"qk_norm": True, "scale_attn_norm": True}),
    "DeiT": ("deit_tiny_patch16_224", {}),
    "DeiT, distilled": ("deit_tiny_distilled_patch16_224", {}),
    "DeiT III": ("deit3_small_patch16_224", {}),
    "MAE": ("vit_base_patch16_224.mae", {"embed_dim": 192, "num_heads": 3}),
    "CLIP": ("vit_xsmall_patch16_clip_224", {}),
    "SigLIP": ("vit_base_patch16_siglip_224", {"embed_dim": 192, "num_heads": 3}),
    "DINOv2": ("vit_small_patch14_dinov2", {}),
    "DINOv2 with registers": ("vit_small_patch14_reg4_dinov2", {}),
    "DINOv3": ("vit_small_patch16_dinov3", {}),
    "DINOv3 with qkv bias": ("vit_small_patch16_dinov3_qkvb", {}),
    "DINOv3, SwiGLU": ("vit_small_plus_patch16_dinov3", {}),
    "EVA-02": ("eva02_tiny_patch14_224", {}),
    "EVA-02, q k v apart": ("eva02_base_patch14_224", {"embed_dim": 192, "num_heads": 3}),
    "rotary, axial": ("vit_small_patch16_rope_224", {}),
    "rotary, mixed": ("vit_small_patch16_rope_mixed_ape_224", {}),
    "perception encoder": ("vit_pe_core_tiny_patch16_384", {}),
    "gated, grouped queries": (
        "vit_base_patch16_sapiens2",
        {"embed_dim": 256, "num_heads": 8, "num_kv_heads": 4},
    ),
}


def make(family: str, canvas: tuple[int, int] | None = None) -> PlainBackbone:
    """Return a backbone of two blocks with every parameter drawn at random, in evaluation mode."""
    name, options = FAMILIES[family]
    patch = 14 if "patch14" in name else 16
    backbone = create_backbone(name, canvas or (8 * patch, 8 * patch), options={"depth": 2, **options}).eval()
    for key, value in backbone.named_parameters():
        scale = 1.0 if value.ndim == 1 or "token" in key or "pos_embed" in key else value[0].numel() ** -0.5
        nn.init.normal_(value, mean=0.3 * (value.ndim == 1), std=scale)
    return backbone


def tokens(features: LayerFeatures) -> Tensor:
    """Return prefix and patches as timm lays them out."""
    return torch.cat([features.prefix, features.patches.flatten(2).transpose(1, 2)], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_those_of_timm(family: str) -> None:
    backbone = make(family)
    rows, columns = backbone.spec.patch
    for grid in ((8, 8), (5, 11)):
        canvas = (grid[0] * rows, grid[1] * columns)
        images = torch.randint(0, 256, (2, 3, *canvas), dtype=torch.uint8)
        with torch.no_grad():
            features = backbone(images)
            expected = backbone.vit.forward_features(backbone.normalise(images))
        assert features.last.patches.shape == (2, backbone.spec.width, *grid)
        assert features.last.prefix.shape[1] == backbone.prefix
        assert features.canvas == canvas
        assert set(features.layers) == {2}
        assert expected.std() > 0.1
        torch.testing.assert_close(tokens(features.last), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["MAE", "DINOv3", "EVA-02", "rotary, mixed"])
def test_gradients_are_those_of_timm(family: str) -> None:
    backbone = make(family).train()
    images = torch.randint(0, 256, (1, 3, *backbone.spec.canvas), dtype=torch.uint8)
    parameters = [p for p in backbone.vit.blocks.parameters() if p.requires_grad]
    weight = torch.randn(backbone.spec.width)
    ours = torch.autograd.grad((tokens(backbone(images).last) @ weight).square().mean(), parameters)
    expected = backbone.vit.forward_features(backbone.normalise(images))
    theirs = torch.autograd.grad((expected @ weight).square().mean(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * float(b.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("family", ["ImageNet", "DINOv3, SwiGLU", "EVA-02"])
def test_some_tokens_at_a_time_give_what_all_at_once_give(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make(family)
    images = torch.randint(0, 256, (2, 3, *backbone.spec.canvas), dtype=torch.uint8)
    block, fed, mixed, normed = backbone.vit.blocks[0], [], [], []
    for module, seen in ((block.mlp, fed), (block.attn.proj, mixed), (block.norm1, normed)):
        module.register_forward_hook(lambda _, given, __, seen=seen: seen.append(given[0].shape[:-1].numel()))
    expected = tokens(backbone(images).last).detach()  # with gradients all at once
    with torch.inference_mode():
        at_once = tokens(backbone(images).last)
        monkeypatch.setattr(timm_blocks, "HIDDEN_AT_ONCE", 4 * backbone.spec.width * 50)
        in_parts = tokens(backbone(images).last)
    count = expected.shape[:2].numel()
    for seen in (fed, mixed, normed):
        assert seen[:2] == [count, count]
        assert len(seen) > 4
        assert sum(seen[2:]) == count
        assert max(seen[2:]) <= 50
    torch.testing.assert_close(at_once, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(in_parts, expected, rtol=1e-5, atol=1e-5)


def test_in_training_branches_are_dropped_for_whole_images_without_gradients_too() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options={"depth": 3, "drop_path_rate": 0.5})
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    torch.manual_seed(3)
    expected = tokens(backbone.train()(images).last).detach()
    torch.manual_seed(3)
    with torch.no_grad():
        assert torch.equal(tokens(backbone(images).last), expected)


@pytest.mark.parametrize(
    "family",
    [
        "ImageNet",
        "query and key norm",
        "DINOv2 with registers",
        "DINOv3",
        "EVA-02, q k v apart",
        "rotary, mixed",
    ],
)
def test_the_attention_of_the_class_token_is_that_of_timm(family: str) -> None:
    backbone = make(family)
    rows, columns = backbone.spec.patch
    images = torch.randint(0, 256, (2, 3, 3 * rows, 5 * columns), dtype=torch.uint8)
    attention, seen = backbone.vit.blocks[-1].attn, []
    attention.fused_attn = False
    attention.attn_drop.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.no_grad():
        backbone.vit.forward_features(backbone.normalise(images))
        found = backbone.class_attention(images)
    assert found is not None
    expected = seen[0][:, :, 0, backbone.prefix :].unflatten(-1, (3, 5))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grid", [(3, 5), (9, 20)])
def test_in_a_graph_positions_are_resized_as_without_one(
    family: str, grid: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make(family)
    rows, columns = backbone.spec.patch
    images = torch.randint(0, 256, (2, 3, grid[0] * rows, grid[1] * columns), dtype=torch.uint8)
    with torch.no_grad():
        expected = backbone._embed(images)[0]
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        found = backbone._embed(images)[0]
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=1e-5, atol=1e-5)
    assert (found.rope is None) == (expected.rope is None)
    for one, other in zip(found.rope or (), expected.rope or (), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_without_a_class_token_nothing_attends() -> None:
    images = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    assert make("SigLIP").class_attention(images) is None


def test_a_backbone_built_for_another_size_resizes_its_positions() -> None:
    small = make("ImageNet", (64, 128))
    assert small.spec.grid == (4, 8)
    assert small.vit.pos_embed.shape[1] == 1 + 4 * 8


def test_images_are_normalised_as_the_weights_want() -> None:
    backbone = make("CLIP")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    config = backbone.vit.pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(backbone.normalise(images), (images / 255 - mean) / std)


def test_nothing_behind_the_features_is_kept() -> None:
    for family in ("ImageNet", "SigLIP", "EVA-02", "ImageNet, averaged"):
        keys = make(family).vit.state_dict()
        assert not [key for key in keys if key.startswith(("head", "fc_norm", "attn_pool"))]


def test_every_parameter_is_used() -> None:
    """Processes of a distributed run wait for the gradient of every parameter."""
    for family in FAMILIES:
        backbone = make(family).train()
        features = backbone(torch.zeros(1, 3, *backbone.spec.canvas, dtype=torch.uint8))
        tokens(features.last).square().sum().backward()
        assert not [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None]


def test_a_prediction_leaves_nothing_behind_that_hinders_training() -> None:
    """What rotary models compute in inference mode must not reach a backward pass."""
    for family in ("DINOv3", "EVA-02", "rotary, mixed", "ImageNet"):
        backbone = make(family)
        images = torch.zeros(1, 3, *backbone.spec.canvas, dtype=torch.uint8)
        with torch.inference_mode():
            backbone(images)
        tokens(backbone.train()(images).last).sum().backward()


def test_an_image_that_the_patch_does_not_divide() -> None:
    with pytest.raises(ShapeError) as error:
        make("ImageNet")(torch.zeros(1, 3, 5, 200, dtype=torch.uint8))
    assert str(error.value) == (
        "image: 5 x 200 pixels is not a multiple of the patch, 16 x 16; the nearest that fits is 16 x 192."
    )


@pytest.mark.parametrize("visibility", ["joint", "isolated"])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_dinov3"])
def test_queries_are_the_same_where_nobody_reads_the_patches(
    name: str, visibility: Literal["isolated", "joint"]
) -> None:
    backbone = create_backbone(name, (64, 96), options={"depth": 3})
    groups = [
        TokenGroup("one", 5, 0, LearnedQueries(5, backbone.spec.width, std=1.0), visibility, (3,)),
        TokenGroup("two", 4, 2, LearnedQueries(4, backbone.spec.width, std=1.0), "isolated", (3,)),
    ]
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    read, skipped = (backbone(images, groups, patches=patches).last for patches in (True, False))
    for group in ("one", "two"):
        torch.testing.assert_close(skipped.queries[group], read.queries[group], rtol=1e-5, atol=1e-5)
    assert skipped.patches.shape == (2, backbone.spec.width, 0, 0)
    assert skipped.prefix.shape == (2, 0, backbone.spec.width)
