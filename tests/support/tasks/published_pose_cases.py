"""Published pose models with every number drawn, and their files in the layouts that exist."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

#: Width, blocks, heads and split columns of an expert, by size; those of the released weights.
SIZES = {
    "S": (384, 12, 12, 96),
    "B": (768, 12, 12, 192),
    "L": (1024, 24, 16, 256),
    "H": (1280, 32, 16, 320),
}
#: COCO's keypoints as the published configurations call them.
HUB_NAMES = (
    "Nose",
    *(f"{s}_{p}" for p in ("Eye", "Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle") for s in "LR"),
)


@torch.no_grad()
def draw(module: nn.Module, seed: int = 0) -> None:
    """Draw every parameter, table and statistic so that signals neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)

    def normal(value: Tensor, mean: float, std: float) -> None:
        value.copy_(mean + std * torch.randn(value.shape, generator=generator))

    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if not value.is_floating_point():
            value.copy_(torch.randint(1, 1000, value.shape, generator=generator))
        elif name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.ndim == 1:
            is_scale = name.endswith("weight")
            normal(value, 1.0 if is_scale else 0.0, 0.2)
        else:
            tables = ("embeddings", "embedding", "token", "tokens")
            is_table = name.rpartition(".")[2].endswith(tables)
            normal(value, 0.0, 0.5 if is_table else value[0].numel() ** -0.5)


def vitpose(
    size: tuple[int, int, int] = (48, 3, 4),
    simple: bool = False,
    experts: int = 1,
    part: int = 12,
    image_size: tuple[int, int] = (256, 192),
    keypoints: int = 17,
    eps: float = 1e-6,
    names: dict[int, str] | None = None,
) -> VitPoseForPoseEstimation:
    """A model of transformers; its norms have the official epsilon unless told otherwise."""
    width, depth, heads = size
    backbone = VitPoseBackboneConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_experts=experts,
        part_features=part,
        image_size=image_size,
        layer_norm_eps=eps,
        out_indices=[depth],
    )
    labels: dict[str, Any] = {"id2label": names or {i: f"k{i}" for i in range(keypoints)}}
    if keypoints == 17 and names is None:
        labels = {"id2label": dict(enumerate(HUB_NAMES))}
    config = VitPoseConfig(backbone_config=backbone, use_simple_decoder=simple, scale_factor=4, **labels)
    model = VitPoseForPoseEstimation(config).eval()
    draw(model)
    return model


def saved(model: VitPoseForPoseEstimation, folder: Path) -> Path:
    """Write a model as transformers does."""
    model.save_pretrained(folder)
    return folder


def official_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of transformers to those of the authors' files."""
    names = {
        "backbone.embeddings.position_embeddings": "backbone.pos_embed",
        "backbone.embeddings.patch_embeddings.projection": "backbone.patch_embed.proj",
        "backbone.encoder.layer.": "backbone.blocks.",
        ".layernorm_before.": ".norm1.",
        ".layernorm_after.": ".norm2.",
        ".attention.output.dense.": ".attn.proj.",
        "backbone.layernorm.": "backbone.last_norm.",
        "head.deconv1.": "keypoint_head.deconv_layers.0.",
        "head.batchnorm1.": "keypoint_head.deconv_layers.1.",
        "head.deconv2.": "keypoint_head.deconv_layers.3.",
        "head.batchnorm2.": "keypoint_head.deconv_layers.4.",
        "head.conv.": "keypoint_head.final_layer.",
    }
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for old, new in names.items():
            key = key.replace(old, new)
        renamed[key] = value
    for key in [key for key in renamed if ".attention.attention.query." in key]:
        parts = [renamed.pop(key.replace("query", part)) for part in ("query", "key", "value")]
        renamed[key.replace(".attention.attention.query.", ".attn.qkv.")] = torch.cat(parts)
    return renamed


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference in units of the largest number that was expected."""
    return float((found - expected).abs().max() / expected.abs().max())
