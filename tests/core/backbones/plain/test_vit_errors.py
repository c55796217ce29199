"""What is no plain ViT is refused by name, and so are options, tags and sizes that do not fit."""

import pytest
import timm

from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone

ALLOWED = "take a plain pre-norm ViT, as timm's vit_small_patch14_reg4_dinov2 or vit_small_patch16_dinov3."


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("swin_tiny_patch4_window7_224", "a model of timm's swin_transformer is not a plain ViT"),
        ("beit_base_patch16_224", "a model of timm's beit is not a plain ViT"),
        ("vit_relpos_small_patch16_224", "a model of timm's vision_transformer_relpos is not a plain ViT"),
        ("vit_tiny_r_s16_p8_224", "a model of timm's vision_transformer_hybrid is not a plain ViT"),
        ("resnet18", "a model of timm's resnet is not a plain ViT"),
        ("vit_small_patch16_18x2_224", "its blocks are of type ParallelThingsBlock"),
        ("vit_pwee_patch16_reg1_gap_256", "its blocks are of type ParallelScalingBlock"),
        ("vit_base_patch16_rpn_224", "its blocks are of type ResPostBlock"),
        ("vit_dwee_patch16_reg1_gap_256", "its attention is of type DiffAttention"),
    ],
)
def test_other_models_are_refused(name: str, part: str) -> None:
    options = {"depth": 1} if name.startswith("vit") else {}
    with pytest.raises(ConfigError) as error:
        create_backbone(name, (224, 224), options=options)
    assert str(error.value) == f"backbone {name!r}: {part}; {ALLOWED}"


def test_models_that_timm_built_elsewhere_are_checked_too() -> None:
    for name, part in (
        ("resnet18", "ResNet is not a plain ViT"),
        ("vit_tiny_r_s16_p8_224", "its patches are made by HybridEmbed"),
    ):
        with pytest.raises(ConfigError) as error:
            PlainBackbone(timm.create_model(name), name, (224, 224))
        assert str(error.value) == f"backbone {name!r}: {part}; {ALLOWED}"


@pytest.mark.parametrize("option", ["attn_drop_rate", "patch_drop_rate"])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_options_that_would_do_nothing_are_refused(name: str, option: str) -> None:
    with pytest.raises(ConfigError) as error:
        create_backbone(name, (224, 224), options={"depth": 1, option: 0.1})
    assert str(error.value) == (
        f"backbone {name!r}: {option} is not 0, which mtvit does not apply; take drop_path_rate."
    )


def test_unknown_models_are_refused_with_the_nearest_known() -> None:
    for name in ("vit_tiny_patch16_225", "vit_tiny_patch16_225.augreg"):
        with pytest.raises(ConfigError) as error:
            create_backbone(name, (224, 224))
        assert str(error.value) == (
            f"backbone: timm knows no model {name!r}. Did you mean 'vit_tiny_patch16_224'? "
            "timm.list_models('vit*') lists them."
        )


def refused_options(**options: bool | int | float | str) -> str:
    """Return the message that wrong options of a timm model cause."""
    with pytest.raises(ConfigError) as error:
        create_backbone("vit_tiny_patch16_224", (224, 224), options=options)
    return str(error.value)


def test_wrong_options_are_refused() -> None:
    start = "backbone 'vit_tiny_patch16_224': timm refuses the options "
    assert refused_options(deep=3) == (
        start + "{'deep': 3}: VisionTransformer.__init__() got an unexpected keyword argument 'deep'"
    )
    assert refused_options(num_heads=5) == start + "{'num_heads': 5}: dim should be divisible by num_heads"
    assert "multiple values for keyword argument 'num_classes'" in refused_options(num_classes=10)


def test_unknown_tag_of_published_weights() -> None:
    with pytest.raises(ConfigError) as error:
        create_backbone("vit_tiny_patch16_224.none", (224, 224))
    assert str(error.value) == (
        "backbone 'vit_tiny_patch16_224.none': timm refuses the options {}: "
        "Invalid pretrained tag (none) for vit_tiny_patch16_224."
    )


def test_a_canvas_that_the_patch_does_not_divide() -> None:
    with pytest.raises(ConfigError) as error:
        create_backbone("vit_small_patch14_dinov2", (224, 230), options={"depth": 1})
    assert str(error.value) == (
        "canvas: 224 x 230 pixels is not a multiple of the patch, 14 x 14; "
        "the nearest that fits is 224 x 224."
    )
