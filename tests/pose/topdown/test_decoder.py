import pytest
import torch
from torch import nn
from transformers import VitPoseBackboneConfig, VitPoseConfig
from transformers.models.vitpose import modeling_vitpose as reference

from mtvit_core.backbones.features import Features, LayerFeatures
from mtvit_pose.topdown.decoder import ClassicDecoder, SimpleDecoder
from mtvit_pose.topdown.keypoint_token import TokenPoseHead

WIDTH, KEYPOINTS = 48, 17


def features(patches: torch.Tensor, queries: torch.Tensor | None = None) -> Features:
    named = {} if queries is None else {"pose": queries}
    layer = LayerFeatures(patches, patches.new_zeros(len(patches), 0, patches.shape[1]), named)
    return Features({2: layer}, 2, {}, (256, 192))


def config(simple: bool) -> VitPoseConfig:
    backbone = VitPoseBackboneConfig(hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=2)
    return VitPoseConfig(
        backbone_config=backbone, num_labels=KEYPOINTS, use_simple_decoder=simple, scale_factor=4
    )


def randomise(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for value in [*module.parameters(), *module.buffers()]:
        if value.is_floating_point():
            value.data = torch.rand(value.shape, generator=generator) + 0.1


@torch.no_grad()
def test_classic_decoder_equals_transformers():
    ours = ClassicDecoder(WIDTH, KEYPOINTS).eval()
    randomise(ours)
    theirs = reference.VitPoseClassicDecoder(config(simple=False)).eval()
    names = {"deconv_layers.0": "deconv1", "deconv_layers.1": "batchnorm1", "deconv_layers.3": "deconv2"}
    names |= {"deconv_layers.4": "batchnorm2", "final_layer": "conv"}
    state = {
        key.replace(old, new): value
        for key, value in ours.state_dict().items()
        for old, new in names.items()
        if key.startswith(old + ".")
    }
    theirs.load_state_dict(state, strict=True)
    patches = torch.randn(2, WIDTH, 16, 12)

    maps = ours(features(patches)).maps

    assert maps.shape == (2, KEYPOINTS, 64, 48)
    torch.testing.assert_close(maps, theirs(patches), rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_simple_decoder_equals_transformers():
    ours = SimpleDecoder(WIDTH, KEYPOINTS)
    randomise(ours)
    theirs = reference.VitPoseSimpleDecoder(config(simple=True))
    theirs.load_state_dict({k.replace("final_layer", "conv"): v for k, v in ours.state_dict().items()})
    patches = torch.randn(2, WIDTH, 16, 12)

    torch.testing.assert_close(ours(features(patches)).maps, theirs(patches), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "shapes"),
    [(192, [(192,), (384, 192), (384,), (3072, 384)]), (576, [(576,), (3072, 576)])],
)
def test_tokenpose_head_has_the_published_shapes(width: int, shapes: list[tuple[int, ...]]):
    head = TokenPoseHead(width, (256, 192))

    weights = [tuple(value.shape) for name, value in head.named_parameters() if name.endswith("weight")]
    assert weights == shapes
    maps = head(features(torch.zeros(2, width, 16, 12), torch.randn(2, KEYPOINTS, width))).maps
    assert maps.shape == (2, KEYPOINTS, 64, 48)
