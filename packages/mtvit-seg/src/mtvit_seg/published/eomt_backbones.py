"""Backbones of published EoMT checkpoints: DINOv2 with registers, and DINOv3, each in two spellings."""

from collections.abc import Callable
from dataclasses import dataclass

from mtvit_core.backbones.interface import Option
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.published.format import BASE
from mtvit_core.published.recipe import Recipe, copied, layer, on_base, stacked
from mtvit_core.published.sizes import count_blocks, mlp_ratio
from mtvit_core.published.source import Source
from mtvit_seg.published.eomt_settings import PATCH

#: timm's names by token width; other widths take the first one's.
DINOV2 = {
    384: "vit_small_patch14_reg4_dinov2",
    768: "vit_base_patch14_reg4_dinov2",
    1024: "vit_large_patch14_reg4_dinov2",
}
DINOV2_GATED = "vit_giant_patch14_reg4_dinov2"
DINOV3 = {
    384: "vit_small_patch16_dinov3_qkvb",
    768: "vit_base_patch16_dinov3_qkvb",
    1024: "vit_large_patch16_dinov3_qkvb",
}
OWN = "backbone.vit"


@dataclass(frozen=True)
class Backbone:
    """A backbone of ours and where its weights come from.

    Attributes:
        name: timm's name.
        options: Arguments.
        recipes: How each of its tensors is made.
    """

    name: str
    options: dict[str, Option]
    recipes: dict[str, Recipe]


def table(key: str, shape: tuple[int, ...], old: tuple[int, int], new: tuple[int, int]) -> Recipe:
    """The positions of patches, resized as timm does where the canvas is another.

    Args:
        key: The source's table.
        shape: Its shape, the same as ours but for the first axis and the number of patches.
        old: Its rows and columns of patches.
        new: Ours.
    """
    width = shape[-1]
    return Recipe(
        (key,),
        lambda own: [shape],
        lambda parts: resize_tables(parts[0].reshape(1, -1, width), old, new, 0, antialias=True),
    )


def dinov2_transformers(source: Source, old: tuple[int, int], new: tuple[int, int]) -> Backbone:
    """Read ``config.json``; q, k and v stand apart, and so do gate and value of SwiGLU."""
    get = source.setting
    width, depth, gated = get("hidden_size"), get("num_hidden_layers"), get("use_swiglu_ffn", False)
    hidden = source.shape("layers.0.mlp.fc1.weight")[0] if not gated else 2 * _gate_width(source)
    found = {
        f"{OWN}.cls_token": copied("embeddings.cls_token"),
        f"{OWN}.reg_token": copied("embeddings.register_tokens"),
        f"{OWN}.pos_embed": table(
            "embeddings.position_embeddings.weight", (old[0] * old[1], width), old, new
        ),
    }
    found |= layer(f"{OWN}.patch_embed.proj", "embeddings.patch_embeddings.projection")
    found |= layer(f"{OWN}.norm", "layernorm")
    for i in range(depth):
        a, b = f"{OWN}.blocks.{i}", f"layers.{i}"
        found |= layer(f"{a}.attn.qkv", *(f"{b}.attention.{part}_proj" for part in "qkv"))
        found |= layer(f"{a}.attn.proj", f"{b}.attention.out_proj")
        found |= layer(f"{a}.norm1", f"{b}.norm1") | layer(f"{a}.norm2", f"{b}.norm2")
        found |= {f"{a}.ls{j}.gamma": copied(f"{b}.layer_scale{j}.lambda1") for j in (1, 2)}
        found |= _gated(source, f"{a}.mlp", f"{b}.mlp") if gated else _plain(f"{a}.mlp", f"{b}.mlp")
    options: dict[str, Option] = {
        "patch_size": PATCH,
        "embed_dim": width,
        "depth": depth,
        "num_heads": get("num_attention_heads"),
        "mlp_ratio": mlp_ratio(hidden, width),
        "reg_tokens": get("num_register_tokens"),
        "norm_eps": get("layer_norm_eps"),
    }
    return Backbone(DINOV2_GATED if gated else DINOV2.get(width, DINOV2[384]), options, found)


def _plain(own: str, theirs: str) -> dict[str, Recipe]:
    return layer(f"{own}.fc1", f"{theirs}.fc1") | layer(f"{own}.fc2", f"{theirs}.fc2")


def _gate_width(source: Source) -> int:
    """Hidden width of SwiGLU; files of transformers 4 hold gate and value in one layer."""
    if source.has("layers.0.mlp.weights_in.weight"):
        return source.shape("layers.0.mlp.weights_in.weight")[0] // 2
    return source.shape("layers.0.mlp.gate_proj.weight")[0]


def _gated(source: Source, own: str, theirs: str) -> dict[str, Recipe]:
    if source.has("layers.0.mlp.weights_in.weight"):
        return layer(f"{own}.fc1", f"{theirs}.weights_in") | layer(f"{own}.fc2", f"{theirs}.weights_out")
    gate_and_value = (f"{theirs}.gate_proj", f"{theirs}.up_proj")
    return layer(f"{own}.fc1", *gate_and_value) | layer(f"{own}.fc2", f"{theirs}.down_proj")


def dinov2_official(source: Source, prefix: str, old: tuple[int, int], new: tuple[int, int]) -> Backbone:
    """The authors' keys are timm's; heads are 64 wide in every published model.

    Args:
        source: The checkpoint.
        prefix: Prefix of timm's keys.
        old: Rows and columns of patches of the source.
        new: Ours.
    """
    width, depth = source.shape(f"{prefix}cls_token")[-1], count_blocks(source, f"{prefix}blocks.")
    hidden, back = (source.shape(f"{prefix}blocks.0.mlp.{part}.weight") for part in ("fc1", "fc2"))
    gated = hidden[0] == 2 * back[1]
    found = {f"{OWN}.{name}": copied(f"{prefix}{name}") for name in ("cls_token", "reg_token")}
    found[f"{OWN}.pos_embed"] = table(f"{prefix}pos_embed", (1, old[0] * old[1], width), old, new)
    names = ["patch_embed.proj", "norm"]
    parts = ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    names += [f"blocks.{i}.{part}" for i in range(depth) for part in parts]
    for name in names:
        found |= layer(f"{OWN}.{name}", f"{prefix}{name}")
    scales = [f"blocks.{i}.ls{j}.gamma" for i in range(depth) for j in (1, 2)]
    found |= {f"{OWN}.{name}": copied(f"{prefix}{name}") for name in scales}
    options: dict[str, Option] = {
        "patch_size": PATCH,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // 64,
        "mlp_ratio": mlp_ratio(hidden[0], width),
        "reg_tokens": source.shape(f"{prefix}reg_token")[1],
        "norm_eps": 1e-6,
    }
    return Backbone(DINOV2_GATED if gated else DINOV2.get(width, DINOV2[384]), options, found)


def dinov3_transformers(source: Source) -> Backbone:
    """Read ``config.json``; keys have no biases."""
    get = source.setting
    theta = (source.config.get("rope_parameters") or {}).get("rope_theta", 100.0)
    depth, width = get("num_hidden_layers"), get("hidden_size")
    return Backbone(
        DINOV3.get(width, DINOV3[384]),
        _dinov3_options(
            width,
            depth,
            get("num_attention_heads"),
            get("intermediate_size"),
            get("num_register_tokens"),
            get("layer_norm_eps"),
        )
        | {"rope_temperature": theta, "rope_rescale": source.config.get("pos_embed_rescale")},
        _dinov3_recipes(depth, "embeddings.", "layers.", "layernorm", lambda recipe: recipe),
    )


def dinov3_official(source: Source, prefix: str, base: Source | None) -> Backbone:
    """The authors publish differences to Meta's weights, whose keys are those of transformers.

    Args:
        source: The differences, or whole weights.
        prefix: Prefix of the backbone's keys.
        base: Meta's weights; None where the source's are whole.
    """
    stem = "model." if base is not None and base.has("model.layer.0.norm1.weight") else ""

    def base_key(key: str) -> str:
        name = key.removeprefix(prefix)
        if name.startswith("blocks."):
            return f"{BASE}{stem}layer.{name.removeprefix('blocks.')}"
        return f"{BASE}embeddings.{name.removeprefix('patch_embed.')}" if "embed" in name else f"{BASE}{name}"

    width, depth = (
        source.shape(f"{prefix}patch_embed.cls_token")[-1],
        count_blocks(source, f"{prefix}blocks."),
    )
    return Backbone(
        DINOV3.get(width, DINOV3[384]),
        _dinov3_options(
            width,
            depth,
            width // 64,
            source.shape(f"{prefix}blocks.0.mlp.up_proj.weight")[0],
            source.shape(f"{prefix}patch_embed.register_tokens")[1],
            1e-5,
        )
        | {"rope_rescale": 2.0},
        _dinov3_recipes(
            depth,
            f"{prefix}patch_embed.",
            f"{prefix}blocks.",
            f"{prefix}norm",
            lambda recipe: recipe if base is None else on_base(recipe, base_key),
        ),
    )


def _dinov3_options(
    width: int, depth: int, heads: int, hidden: int, registers: int, eps: float
) -> dict[str, Option]:
    return {
        "patch_size": PATCH,
        "embed_dim": width,
        "depth": depth,
        "num_heads": heads,
        "mlp_ratio": mlp_ratio(hidden, width),
        "num_reg_tokens": registers,
        "norm_eps": eps,
    }


def _dinov3_recipes(
    depth: int, embeddings: str, blocks: str, norm: str, change: Callable[[Recipe], Recipe]
) -> dict[str, Recipe]:
    found = {
        f"{OWN}.cls_token": copied(f"{embeddings}cls_token"),
        f"{OWN}.reg_token": copied(f"{embeddings}register_tokens"),
    }
    found |= layer(f"{OWN}.patch_embed.proj", f"{embeddings}patch_embeddings") | layer(f"{OWN}.norm", norm)
    for i in range(depth):
        a, b = f"{OWN}.blocks.{i}", f"{blocks}{i}"
        attention = f"{b}.attention"
        found[f"{a}.attn.qkv.weight"] = stacked(*(f"{attention}.{part}_proj.weight" for part in "qkv"))
        found |= {f"{a}.attn.{part}_bias": copied(f"{attention}.{part}_proj.bias") for part in "qv"}
        found |= layer(f"{a}.attn.proj", f"{attention}.o_proj")
        found |= layer(f"{a}.norm1", f"{b}.norm1") | layer(f"{a}.norm2", f"{b}.norm2")
        found |= {f"{a}.gamma_{j}": copied(f"{b}.layer_scale{j}.lambda1") for j in (1, 2)}
        found |= layer(f"{a}.mlp.fc1", f"{b}.mlp.up_proj") | layer(f"{a}.mlp.fc2", f"{b}.mlp.down_proj")
    return {key: change(recipe) for key, recipe in found.items()}
