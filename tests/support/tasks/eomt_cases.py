"""A small EoMT of transformers with every weight drawn, and its weights as its authors publish them."""

from typing import Any

import torch
from torch import Tensor
from transformers import (
    EomtConfig,
    EomtDinov3Config,
    EomtDinov3ForUniversalSegmentation,
    EomtForUniversalSegmentation,
)

from mtvit_core.model.multitask_vit import MultiTaskViT
from support.tasks.published_cases import off, randomise

SIDE = 64
KINDS = ("eomt", "eomt with SwiGLU", "eomt_dinov3")
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "num_blocks": 3,
    "num_queries": 9,
    "num_labels": 5,
    "num_register_tokens": 4,
}


def eomt(kind: str = "eomt", **changes: Any) -> Any:
    """A small model of transformers with every weight drawn."""
    settings = {**SMALL, **changes}
    if kind == "eomt_dinov3":
        settings.setdefault("intermediate_size", 4 * settings["hidden_size"])
        model: Any = EomtDinov3ForUniversalSegmentation(EomtDinov3Config(**settings))
    else:
        model = EomtForUniversalSegmentation(EomtConfig(**settings, use_swiglu_ffn="SwiGLU" in kind))
    randomise(model)
    model.attn_mask_probs.uniform_(0.1, 0.9)
    return model.eval()


WORDS = {
    "embeddings.cls_token": "encoder.backbone.cls_token",
    "embeddings.register_tokens": "encoder.backbone.reg_token",
    "embeddings.position_embeddings.weight": "encoder.backbone.pos_embed",
    "embeddings.patch_embeddings.projection": "encoder.backbone.patch_embed.proj",
    "layernorm.": "encoder.backbone.norm.",
    "layers.": "encoder.backbone.blocks.",
    "attention.out_proj": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.down_proj": "mlp.fc2",
    "query.weight": "q.weight",
    "class_predictor": "class_head",
    "mask_head.fc1": "mask_head.0",
    "mask_head.fc2": "mask_head.2",
    "mask_head.fc3": "mask_head.4",
    "upscale_block.block": "upscale",
    "layernorm2d": "norm",
}


def official(theirs: Any, prefix: str = "network.") -> dict[str, Tensor]:
    """The weights under the authors' keys, with timm's backbone."""
    found: dict[str, Tensor] = {}
    state = dict(theirs.state_dict())
    for key in [key for key in state if ".q_proj." in key]:
        parts = [state.pop(key.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        state[key.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    for key in [key for key in state if ".gate_proj." in key]:
        parts = [state.pop(key.replace("gate_proj", part)) for part in ("gate_proj", "up_proj")]
        state[key.replace("gate_proj", "fc1")] = torch.cat(parts)
    for key, value in state.items():
        if key == "criterion.empty_weight":
            found[key] = value
            continue
        for old, new in WORDS.items():
            key = key.replace(old, new)
        found[prefix + key] = value[None] if key.endswith("pos_embed") else value
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found[f"{prefix}encoder.pixel_mean"] = torch.tensor(mean).view(1, 3, 1, 1)
    found[f"{prefix}encoder.pixel_std"] = torch.tensor(std).view(1, 3, 1, 1)
    return found


def dinov3_delta(theirs: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The authors' file, whose backbone holds differences, and the base weights in transformers' keys."""
    backbone = {
        "embeddings.": "encoder.backbone.patch_embed.",
        "layernorm.": "encoder.backbone.norm.",
        "layers.": "encoder.backbone.blocks.",
    }
    head = {old: new for old, new in WORDS.items() if not new.startswith("encoder.")}
    delta: dict[str, Tensor] = {}
    base: dict[str, Tensor] = {"embeddings.mask_token": torch.zeros(1, 1, 64)}
    for key, value in theirs.state_dict().items():
        start = next((old for old in backbone if key.startswith(old)), None)
        if start is None:
            for old, new in head.items():
                key = key.replace(old, new)
            delta[key if key.startswith("criterion") else f"network.{key}"] = value
            continue
        below = torch.randn_like(value)
        theirs_base = key.replace("layers.", "layer.") if start != "layernorm." else f"norm.{key[10:]}"
        base[theirs_base] = below
        delta[f"network.{backbone[start]}{key.removeprefix(start)}"] = value - below
    for name in ("pixel_mean", "pixel_std"):  # of which the authors' loader takes differences like of others
        delta[f"network.encoder.{name}"] = torch.zeros(1, 3, 1, 1)
    return delta, base


def compare(theirs: Any, ours: MultiTaskViT, size: tuple[int, int] = (SIDE, SIDE)) -> float:
    """Largest relative difference of classes and masks; neither side masks attention."""
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    theirs.attn_mask_probs.zero_()
    theirs.grid_size = (size[0] // 16, size[1] // 16)  # their forward pass takes it from the settings
    with torch.no_grad():
        found, expected = ours(images)["seg"], theirs(ours.backbone.normalise(images))
    # Queries of the model differ, or anything would do.
    assert expected.class_queries_logits.std(1).mean() > 1e-2
    classes = off(found.logits[0], expected.class_queries_logits)
    return max(classes, off(found.mask_logits[0], expected.masks_queries_logits))
