"""The one place that knows timm: its plain ViTs seen as embed, blocks and norm.

Every plain backbone is of one of two kinds: ``VisionTransformer`` (ImageNet, DeiT, MAE, CLIP, DINOv2) and
``Eva`` (EVA-02, DINOv3: rotary positions, fused or separate q k v, SwiGLU).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import timm
import torch
from jaxtyping import Float
from timm.layers import Attention, AttentionRope, GluMlp, PatchEmbed, apply_rot_embed_cat
from timm.models.eva import Eva, EvaAttention, EvaBlock
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.absent import AbsentBlock
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.errors import ConfigError, did_you_mean

#: The two families, and their blocks.
PlainViT: TypeAlias = VisionTransformer | Eva
PlainBlock: TypeAlias = Block | EvaBlock
#: Modules of timm whose models are of these families.
MODULES = ("vision_transformer", "deit", "eva")
#: Most hidden numbers of a block at once (4 MiB in fp32): more do not stay in a CPU's cache.
HIDDEN_AT_ONCE = 2**20
#: What to do where a model is not of them.
ALLOWED = "take a plain pre-norm ViT, as timm's vit_small_patch14_reg4_dinov2 or vit_small_patch16_dinov3."


@dataclass(frozen=True)
class Embedded:
    """Tokens at the input of block 0.

    Attributes:
        tokens: Prefix and patch tokens, positions added.
        rope: Rotary table of each block; None for models without rotary positions.
    """

    tokens: Float[Tensor, "B S D"]
    rope: tuple[Tensor, ...] | None


def check_known(name: str) -> None:
    """Refuse a name that timm does not know, or that it knows as another kind of model.

    Raises:
        ConfigError: naming the nearest known one, or timm's module.
    """
    stem = name.split(".")[0]
    if not timm.is_model(stem):
        hint = did_you_mean(stem, timm.list_models(module=list(MODULES)))
        raise ConfigError(
            f"backbone: timm knows no model {name!r}.{hint} timm.list_models('vit*') lists them."
        )
    if not timm.models.is_model_in_modules(stem, MODULES):
        module = timm.model_entrypoint(stem).__module__.rpartition(".")[2]
        raise ConfigError(f"backbone {name!r}: a model of timm's {module} is not a plain ViT; {ALLOWED}")


def check_plain(model: nn.Module, name: str) -> PlainViT:
    """The model itself, if it is a plain pre-norm ViT.

    Raises:
        ConfigError: naming the model and the part that does not fit.
    """
    if not isinstance(model, PlainViT):
        raise ConfigError(f"backbone {name!r}: {type(model).__name__} is not a plain ViT; {ALLOWED}")
    for part in _odd_parts(model):
        raise ConfigError(f"backbone {name!r}: {part}; {ALLOWED}")
    dropped = [block.attn.attn_drop.p for block in present(model) if block.attn.attn_drop.p]
    if dropped or not isinstance(model.patch_drop, nn.Identity | None):
        option = "attn_drop_rate" if dropped else "patch_drop_rate"
        raise ConfigError(
            f"backbone {name!r}: {option} is not 0, which mtvit does not apply; take drop_path_rate."
        )
    return model


def present(model: PlainViT) -> list[Any]:
    """Return the blocks that are not absent."""
    return [block for block in model.blocks if not isinstance(block, AbsentBlock)]


def bound_heads(model: PlainViT) -> str:
    """Say in words why heads of a model cannot be taken one by one; empty where they can."""
    if getattr(model, "rope_mixed", False):
        return "its heads have rotary positions of their own"
    attention = present(model)[0].attn
    is_grouped = getattr(attention, "num_kv_heads", attention.num_heads) != attention.num_heads
    return "several of its heads share keys and values" if is_grouped else ""


def count_heads(attention: Any, heads: int) -> None:
    """Tell an attention whose weights were cut how many heads it has."""
    attention.num_heads, attention.attn_dim = heads, heads * attention.head_dim
    attention.num_kv_heads, attention.kv_dim = heads, attention.attn_dim


def restate_sizes(module: Any) -> None:
    """Let a layer whose weights were cut say their sizes."""
    weight = getattr(module, "weight", None)
    if weight is None:
        return
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.Conv2d):
        module.out_channels = weight.shape[0]
    elif getattr(module, "normalized_shape", None) is not None:
        module.normalized_shape = tuple(weight.shape)


def parts_of(block: nn.Module, tensor: str) -> int:
    """Return how many equal parts the first axis of a tensor of a block packs."""
    if tensor.startswith("attn.qkv."):
        return 3
    is_gated = tensor.startswith("mlp.fc1.") and isinstance(block.get_submodule("mlp"), GluMlp)
    return 2 if is_gated else 1


def _odd_parts(model: PlainViT) -> Iterator[str]:
    if not isinstance(model.patch_embed, PatchEmbed):
        yield f"its patches are made by {type(model.patch_embed).__name__}"
    for block in present(model):
        if not isinstance(block, PlainBlock):
            yield f"its blocks are of type {type(block).__name__}"
        elif not isinstance(block.attn, Attention | AttentionRope | EvaAttention):
            yield f"its attention is of type {type(block.attn).__name__}"


def embed(model: PlainViT, images: Float[Tensor, "B 3 H W"], antialias: bool = True) -> Embedded:
    """Turn normalised images into tokens with positions.

    Args:
        model: The model.
        images: Normalised images.
        antialias: Whether a table of positions is smoothed where the grid is smaller; timm always does.
    """
    if model.pos_embed is not None and (not antialias or torch.compiler.is_compiling()):
        patches = model.patch_embed(images)
        own = model.cls_token, getattr(model, "dist_token", None), model.reg_token  # DeiT's has a second one
        prefix = [t.expand(images.shape[0], -1, -1) for t in own if t is not None]
        grid = (patches.shape[1], patches.shape[2])
        tokens = torch.cat([*prefix, patches.flatten(1, 2)], 1) + positions(model, grid, antialias)
        return Embedded(model.norm_pre(model.pos_drop(tokens)), rotary(model, grid))
    if isinstance(model, Eva):
        tokens, table = model._pos_embed(model.patch_embed(images))
        tokens = model.norm_pre(tokens)
        return Embedded(tokens, _rope_per_block(table, model.rope_mixed, len(model.blocks)))
    return Embedded(model.norm_pre(model._pos_embed(model.patch_embed(images))), None)


def rotary(model: PlainViT, grid: tuple[int, int]) -> tuple[Tensor, ...] | None:
    """Return the rotary table of each block at this grid, as ``embed`` does; None for models without."""
    if not isinstance(model, Eva) or model.rope is None:
        return None
    return _rope_per_block(model.rope.get_embed(shape=grid), model.rope_mixed, len(model.blocks))


def positions(model: PlainViT, grid: tuple[int, int], antialias: bool = True) -> Float[Tensor, "1 S D"]:
    """Return what ``embed`` adds to prefix and patch tokens as their positions, at this grid."""
    prefix = model.num_prefix_tokens
    own = 0 if model.no_embed_class else prefix
    table = resize_tables(model.pos_embed, model.patch_embed.grid_size, grid, own, antialias)
    return F.pad(table, (0, 0, prefix - own, 0))


def _rope_per_block(table: Any, is_mixed: bool, depth: int) -> tuple[Tensor, ...] | None:
    if table is None:
        return None
    return tuple(table) if is_mixed else (table,) * depth  # mixed: one table per block, else one for all


def project(
    block: PlainBlock, x: Float[Tensor, "B S D"], rope: Tensor | None, patches: slice
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values B A S d of every token; rotary positions on the patch tokens only."""
    attention = block.attn
    count = _parts(block, x)
    q, k, v = _qkv(attention, block.norm1(x)) if count == 1 else _qkv_in_parts(block, x, count)
    q, k = attention.q_norm(q), attention.k_norm(k)
    if rope is not None:
        half = attention.rotate_half
        q, k = (_rotate(part, rope, patches, half).type_as(v) for part in (q, k))
    groups = q.shape[1] // k.shape[1]
    if groups > 1:  # grouped-query attention: head h reads key head h // groups
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    return q, k, v


def _qkv(attention: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    images, tokens, _ = x.shape
    if attention.qkv is None:
        parts = (attention.q_proj(x), attention.k_proj(x), attention.v_proj(x))
        width = parts[0].shape[-1] // attention.num_heads
        q, k, v = (part.view(images, tokens, -1, width).transpose(1, 2) for part in parts)
        return q, k, v
    fused = attention.qkv(x)
    bias = getattr(attention, "q_bias", None)  # EVA keeps the biases of q and v beside the fused weight
    if bias is not None:
        fused = fused + torch.cat([bias, attention.k_bias, attention.v_bias])
    q, k, v = fused.view(images, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def _qkv_in_parts(block: PlainBlock, x: Tensor, count: int) -> tuple[Tensor, ...]:
    """Queries, keys and values, each laid head by head, a part at a time while it is in the cache."""
    whole: tuple[Tensor, ...] = ()
    start = 0
    for part in x.chunk(count, 1):
        made = _qkv(block.attn, block.norm1(part))
        if not whole:
            whole = tuple(each.new_empty(*each.shape[:2], x.shape[1], each.shape[3]) for each in made)
        stop = start + part.shape[1]
        for into, each in zip(whole, made, strict=True):
            into[:, :, start:stop] = each
        start = stop
    return whole


def _rotate(x: Tensor, rope: Tensor, patches: slice, half: bool) -> Tensor:
    turned = apply_rot_embed_cat(x[:, :, patches], rope, half=half)
    return torch.cat([x[:, :, : patches.start], turned, x[:, :, patches.stop :]], 2)


def finish(
    block: PlainBlock, x: Float[Tensor, "B S D"], attended: Float[Tensor, "B A S d"]
) -> Float[Tensor, "B S D"]:
    """Add to tokens what they attended to, projected, and what the feed-forward part makes of the sum."""
    heads_joined = attended.transpose(1, 2).flatten(2)
    count = _parts(block, x)
    if count == 1:
        return _fed(block, x + _mixed(block, x, heads_joined))
    parts = zip(x.flatten(0, 1).chunk(count), heads_joined.flatten(0, 1).chunk(count), strict=True)
    return torch.cat([_fed(block, part + _mixed(block, part, seen)) for part, seen in parts]).view_as(x)


def _parts(block: PlainBlock, x: Float[Tensor, "B S D"]) -> int:
    """In how many parts tokens go through what looks at each of them alone.

    At evaluation on a CPU in several (Kitaev et al. 2020, Reformer, section 3): the hidden numbers then stay
    in its cache. In training in one, for a branch is dropped for whole images.
    """
    learns = torch.is_grad_enabled() or block.training
    if x.device.type != "cpu" or learns or torch.compiler.is_compiling():
        return 1
    return math.ceil(4 * x.numel() / HIDDEN_AT_ONCE)


def _mixed(
    block: PlainBlock, x: Float[Tensor, "*any D"], attended: Float[Tensor, "*any D2"]
) -> Float[Tensor, "*any D"]:
    """What attention adds to the tokens: its output, projected."""
    attention = block.attn
    mixed = attention.norm(attended)
    if attention.gate is not None:
        mixed = mixed * attention.gate(block.norm1(x)).sigmoid()
    mixed = attention.proj_drop(attention.proj(mixed))
    return _damped(mixed, block.gamma_1 if isinstance(block, EvaBlock) else block.ls1, block.drop_path1)


def _fed(block: PlainBlock, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D"]:
    """Return the tokens with what the feed-forward part adds to them."""
    fed = block.mlp(block.norm2(x))
    return x + _damped(fed, block.gamma_2 if isinstance(block, EvaBlock) else block.ls2, block.drop_path2)


def _damped(branch: Tensor, scale: nn.Module | Tensor | None, drop: nn.Module) -> Tensor:
    """Scale a branch and drop it now and then; EVA scales by a tensor or not at all, others by a module."""
    if isinstance(scale, nn.Module):
        branch = scale(branch)
    elif scale is not None:
        branch = scale * branch
    return drop(branch)  # type: ignore[no-any-return]  # modules are untyped callables


def drop_unused(model: PlainViT) -> None:
    """Remove the parts after ``forward_features`` (pooling norm and classifier); mtvit never runs them."""
    model.reset_classifier(0)
    for name in ("fc_norm", "head_drop", "attn_pool"):
        if isinstance(getattr(model, name, None), nn.Module):
            setattr(model, name, nn.Identity())
