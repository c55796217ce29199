"""A whole EoMT with the weights of transformers' model gives the same classes and masks."""

import pytest
import torch
from torch import Tensor
from transformers import EomtConfig, EomtForUniversalSegmentation

from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from support.tasks.seg_cases import CATEGORIES, task

DEPTH, BLOCKS, WIDTH, SIDE = 4, 3, 24, 64


def reference() -> EomtForUniversalSegmentation:
    config = EomtConfig(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=16,
        num_blocks=BLOCKS,
        num_queries=9,
        num_labels=len(CATEGORIES),
        layerscale_value=1.0,
    )
    model = EomtForUniversalSegmentation(config)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
    return model


def block_weights(weights: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    """One block in timm's keys."""
    here, there = f"layers.{index}.", f"backbone.vit.blocks.{index}."
    names = {"attention.out_proj": "attn.proj", "norm1": "norm1", "norm2": "norm2"}
    names |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    kinds = ("weight", "bias")
    found = {f"{there}{b}.{k}": weights[f"{here}{a}.{k}"] for a, b in names.items() for k in kinds}
    for kind in kinds:
        parts = [weights[f"{here}attention.{part}_proj.{kind}"] for part in "qkv"]
        found[f"{there}attn.qkv.{kind}"] = torch.cat(parts)
    for scale in ("1", "2"):
        found[f"{there}ls{scale}.gamma"] = weights[f"{here}layer_scale{scale}.lambda1"]
    return found


def ours_with(weights: dict[str, Tensor]) -> MultiTaskViT:
    """Our model with the same weights."""
    options = {"patch_size": 16, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2}
    backbone = create_backbone("vit_small_patch14_reg4_dinov2", (SIDE, SIDE), options=options)
    seg = task(variant="eomt", queries=9, blocks=BLOCKS)
    model = MultiTaskViT(backbone, [seg], CATEGORIES)
    names = {
        "embeddings.cls_token": "backbone.vit.cls_token",
        "embeddings.register_tokens": "backbone.vit.reg_token",
        "embeddings.patch_embeddings.projection.weight": "backbone.vit.patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "backbone.vit.patch_embed.proj.bias",
        "layernorm.weight": "backbone.vit.norm.weight",
        "layernorm.bias": "backbone.vit.norm.bias",
        "query.weight": "tasks.seg.tokens.seg.weight",
        "attn_mask_probs": "tasks.seg.head.attn_mask_probs",
    }
    state = {ours: weights[theirs] for theirs, ours in names.items()}
    state["backbone.vit.pos_embed"] = weights["embeddings.position_embeddings.weight"][None]
    for i in range(DEPTH):
        state |= block_weights(weights, i)
    head = {"class_predictor.": "class_head.", "mask_head.fc1": "mask_head.0", "mask_head.fc2": "mask_head.2"}
    head |= {"mask_head.fc3": "mask_head.4", "upscale_block.block.": "upscale.", "layernorm2d": "norm"}
    for key, value in weights.items():
        if key.startswith(("class_predictor", "mask_head", "upscale_block")):
            for theirs, ours in head.items():
                key = key.replace(theirs, ours)
            state[f"tasks.seg.head.{key}"] = value
    model.load_state_dict(state, strict=True)
    return model


@pytest.mark.parametrize("mode", ["evaluation", "masked training"])
def test_outputs_equal_transformers(mode: str) -> None:
    theirs = reference()
    ours = ours_with(theirs.state_dict())
    images = torch.randint(0, 255, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    training = mode == "masked training"
    if not training:
        theirs.attn_mask_probs.zero_()
    with torch.no_grad():
        expected = theirs.train(training)(ours.backbone.normalise(images))
        found = ours.train(training)(images)["seg"]
    assert found.logits.shape[0] == (BLOCKS + 1 if training else 1)
    torch.testing.assert_close(found.logits[-1], expected.class_queries_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.mask_logits[-1], expected.masks_queries_logits, atol=1e-4, rtol=1e-4)
    if training:
        with torch.no_grad():
            free = ours.eval()(images)["seg"]
        # The masks do restrict something here.
        assert (free.logits[-1] - found.logits[-1]).abs().max() > 1e-2
