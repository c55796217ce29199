"""Where the weights of ViTPose are in the files of its authors and in those of transformers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """The keys of one kind of file.

    Attributes:
        positions: The table of positions, with a row that is added to every patch.
        patches: The patch embedding.
        block: Prefix of block i, with ``{}`` for i.
        parts: Parts of a block, by the name they have in timm.
        qkv: The fused projection, or those of q, k and v.
        experts: Prefix of the experts in a block.
        norm: The last norm.
        classic: Layers of the classic decoder, by the name they have in ``ClassicDecoder``, below the head.
        simple: Those of the simple decoder.
        heads: Prefixes of the heads, in the order of ``DATASETS``.
    """

    positions: str
    patches: str
    block: str
    parts: Mapping[str, str]
    qkv: tuple[str, ...]
    experts: str
    norm: str
    classic: Mapping[str, str]
    simple: Mapping[str, str]
    heads: tuple[str, ...]


_SAME = ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")
_CLASSIC = ("deconv_layers.0", "deconv_layers.1", "deconv_layers.3", "deconv_layers.4", "final_layer")

OFFICIAL = Names(
    positions="backbone.pos_embed",
    patches="backbone.patch_embed.proj",
    block="backbone.blocks.{}.",
    parts={name: name for name in _SAME},
    qkv=("attn.qkv",),
    experts="mlp.experts.",
    norm="backbone.last_norm",
    classic={name: name for name in _CLASSIC},
    simple={"final_layer": "final_layer"},
    heads=("keypoint_head.", *(f"associate_keypoint_heads.{i}." for i in range(5))),
)
TRANSFORMERS = Names(
    positions="backbone.embeddings.position_embeddings",
    patches="backbone.embeddings.patch_embeddings.projection",
    block="backbone.encoder.layer.{}.",
    parts={
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    },
    qkv=("attention.attention.query", "attention.attention.key", "attention.attention.value"),
    experts="mlp.experts.",
    norm="backbone.layernorm",
    classic=dict(
        zip(_CLASSIC, ("deconv1", "batchnorm1", "deconv2", "batchnorm2", "conv"), strict=True),
    ),
    simple={"final_layer": "conv"},
    heads=("head.",),
)
