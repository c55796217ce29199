"""A small YOLOS of transformers with every weight drawn, and its weights under the authors' keys."""

from typing import Any

import torch
from torch import Tensor
from transformers import YolosConfig, YolosForObjectDetection

import mtvit_core
from support.tasks.published_cases import off, randomise

SIZE = (96, 160)


def yolos(**changes: Any) -> YolosForObjectDetection:
    """A small model of transformers with 91 labels, every weight drawn."""
    settings: dict[str, Any] = {
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 192,
        "image_size": list(SIZE),
        "num_detection_tokens": 7,
        "num_labels": 91,
        "layer_norm_eps": 1e-6,
    }
    model = YolosForObjectDetection(YolosConfig(**{**settings, **changes})).eval()
    randomise(model)
    return model


def official(theirs: YolosForObjectDetection) -> dict[str, Tensor]:
    """The weights under the authors' keys."""
    words = {
        "vit.embeddings.patch_embeddings.projection": "backbone.patch_embed.proj",
        "vit.embeddings.cls_token": "backbone.cls_token",
        "vit.embeddings.detection_tokens": "backbone.det_token",
        "vit.embeddings.position_embeddings": "backbone.pos_embed",
        "vit.encoder.interpolation.mid_position_embeddings": "backbone.mid_pos_embed",
        "vit.encoder.layer": "backbone.blocks",
        "vit.layernorm": "backbone.norm",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.output.dense": "attn.proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
        "class_labels_classifier": "class_embed",
        "bbox_predictor": "bbox_embed",
    }
    found, qkv = {}, {}
    for key, value in theirs.state_dict().items():
        for old, new in words.items():
            key = key.replace(old, new)
        if ".attention.attention." in key:
            qkv[key] = value
        else:
            found[key] = value
    for key in [key for key in qkv if ".query." in key]:
        parts = [qkv[key.replace("query", part)] for part in ("query", "key", "value")]
        found[key.replace("attention.attention.query", "attn.qkv")] = torch.cat(parts)
    return found


def compare(theirs: YolosForObjectDetection, ours: mtvit_core.MultiTaskViT, size: tuple[int, int]) -> float:
    """Largest relative difference of classes and boxes."""
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.no_grad():
        found, expected = ours(images)["det"], theirs(ours.backbone.normalise(images))
    # Tokens of the model differ, or anything would do.
    assert expected.logits.std(1).mean() > 1e-2
    return max(off(found.logits[0], expected.logits), off(found.boxes[0], expected.pred_boxes))
