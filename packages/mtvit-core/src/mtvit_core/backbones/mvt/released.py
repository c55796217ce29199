"""The files that ViT-MVT's authors released, one for each task and tier, in our keys.

A file holds a whole model of mmcls, mmdet or mmsegmentation; its backbone is taken, its head is not. Each of
qkv, proj, fc1 and fc2 stands there twice, shared by tasks and the task's own, with a score that says which
is used: above 0.5 the shared one. In the released code the score of qkv acts on its bias alone: its weight is
the shared one always. Rows of that weight are interleaved, q, k, v, q, k, v; those of its bias are not.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mtvit_core.backbones.mvt.options import HEAD
from mtvit_core.backbones.mvt.stem import CUT

#: A key that is in each of them, without what stands before all keys of the backbone.
_SIGN = "cnn_pre.0.weight"
#: Heads, which are no part of a backbone, and who reads them.
HEADS = {
    "neck.": "a neck",
    "rpn_head.": "Mask R-CNN",
    "roi_head.": "Mask R-CNN",
    "decode_head.": "UPerNet",
    "auxiliary_head.": "UPerNet",
    "head.": "a classifier",
}
#: Ours by theirs.
_NAMES = (
    (r"cnn_pre\.", "stem."),
    (r"patch_embed\.proj\.", f"stem.{CUT}."),
    (r"pos_embed\.cls_token$", "positions"),
    (r"ln1\.", "norm."),
    (r"(layers\.\d+\.)dw_init\.dwconv\.", r"\1look.conv."),
    (r"(layers\.\d+\.)ln(\d)\.", r"\1norm\2."),
    (r"(layers\.\d+\.)attn\.qkv\.", r"\1attention.qkv."),
    (r"(layers\.\d+\.)attn\.relative_position_bias_table$", r"\1attention.table"),
    (r"(layers\.\d+\.)attn\.proj\.", r"\1proj."),
    (r"(layers\.\d+\.)se\.conv1\.conv\.", r"\1gate.squeeze."),
    (r"(layers\.\d+\.)se\.conv2\.conv\.", r"\1gate.excite."),
    (r"(layers\.\d+\.)dw\.dwconv\.", r"\1look_inside.conv."),
    (r"(layers\.\d+\.)cnn_aggregation\.bn(\d)\.", r"\1aggregate.norm\2."),
    (r"(layers\.\d+\.)cnn_aggregation\.", r"\1aggregate."),
)
_LEFT_OUT = ("relative_position_index", ".score", ".specific_weight", ".specific_bias")


def is_released(keys: Iterable[str]) -> bool:
    """Tell whether these are keys of such a file."""
    return any(key.endswith(_SIGN) for key in keys)


def heads_beside(keys: Iterable[str]) -> list[str]:
    """Return what stands beside the backbone in such a file, in words."""
    return list(
        dict.fromkeys(words for key in keys for part, words in HEADS.items() if f".{part}" in f".{key}")
    )


def in_own_keys(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the backbone under our keys; keys that are of no known part stay as they are.

    Args:
        found: Weights of a whole file.
    """
    start = next(key for key in found if key.endswith(_SIGN)).removesuffix(_SIGN)
    around = start.removesuffix("backbone.")
    weights: dict[str, Tensor] = {}
    for key in found:
        if not key.startswith(start) or key.endswith(_LEFT_OUT):
            if not key.endswith(_LEFT_OUT) and not key.removeprefix(around).startswith(tuple(HEADS)):
                weights[key] = found[key]
            continue
        weights[_own_key(key.removeprefix(start))] = _value(found, key)
    return _tables_of_own_heads(weights)


def _own_key(key: str) -> str:
    for pattern, ours in _NAMES:
        name, count = re.subn(f"^{pattern}", ours, key)
        if count:
            return name
    return key


def _value(found: Mapping[str, Tensor], key: str) -> Tensor:
    """The tensor that is used, in our shape."""
    layer, _, part = key.rpartition(".")
    score, is_qkv = found.get(f"{layer}.score"), layer.endswith("attn.qkv")
    value = found[key]
    if score is not None and float(score) <= 0.5 and not (is_qkv and part == "weight"):
        value = found[f"{layer}.specific_{part}"]
    if is_qkv and part == "weight":
        return value.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)  # type: ignore[no-untyped-call, no-any-return]  # torch's own
    return value.flatten(1) if ".se.conv" in key and part == "weight" else value


def _tables_of_own_heads(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights, tables of relative positions without columns of heads that a block lacks."""
    for key in [key for key in weights if key.endswith("attention.table")]:
        qkv = weights.get(key.replace("table", "qkv.weight"))
        if qkv is not None:
            weights[key] = weights[key][:, : len(qkv) // (3 * HEAD)]
    return weights
