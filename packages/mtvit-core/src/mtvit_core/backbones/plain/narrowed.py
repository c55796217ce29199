"""A plain ViT cut to the leading parts of its weights: narrower, with fewer heads, hidden numbers and blocks.

Axes of weights: D width of the trunk, A heads x head width, H hidden width, a point what stays.
"""

import re

from torch import Tensor, nn

from mtvit_core.backbones.absent import AbsentBlock
from mtvit_core.backbones.elastic.genome import Genome, hidden_width
from mtvit_core.backbones.elastic.slicing import leading
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.errors import ConfigError

#: Axes by the name of a weight, in a block and outside of them.
_IN_BLOCK = (
    (r"norm[12]\.\w+|ls[12]\.gamma|gamma_[12]", "D"),
    (r"attn\.(qkv|[qkv]_proj|gate)\.weight", "AD"),
    (r"attn\.(qkv|[qkv]_proj|gate|norm)\.\w+|attn\.[qkv]_bias", "A"),
    (r"attn\.proj\.weight", "DA"),
    (r"attn\.proj\.bias|mlp\.fc2\.bias", "D"),
    (r"mlp\.fc1(_[gx])?\.weight", "HD"),
    (r"mlp\.fc1(_[gx])?\.bias|mlp\.norm\.\w+", "H"),
    (r"mlp\.fc2\.weight", "DH"),
)
_OUTSIDE = (
    (r"patch_embed\.proj\.(1\.)?(weight|bias)|patch_embed\.norm\.\w+|norm(_pre)?\.\w+", "D"),
    (r"(mid_)?pos_embed|cls_token|reg_token", "..D"),
)


def genome_of(model: timm_blocks.PlainViT) -> Genome:
    """Return the shape of a model."""
    heads, ratios = [], []
    for block in model.blocks:
        there = not isinstance(block, AbsentBlock)
        heads.append(int(block.attn.num_heads) if there else 0)
        hidden = int(block.mlp.fc2.weight.shape[1]) if there else 0
        ratios.append(round(hidden / model.embed_dim, 6))
    return Genome(int(model.embed_dim), tuple(heads), tuple(ratios))


def check_elastic(model: timm_blocks.PlainViT, name: str) -> None:
    """Refuse a model whose heads cannot be cut one by one.

    Raises:
        ConfigError: its heads share keys, or have positions of their own.
    """
    odd = timm_blocks.bound_heads(model)
    if odd:
        raise ConfigError(
            f"backbone {name!r}: {odd}, so it cannot be cut to fewer heads; take another plain ViT, as "
            "vit_small_patch16_224 or vit_small_patch16_dinov3."
        )


def narrow(model: timm_blocks.PlainViT, name: str, genome: Genome) -> None:
    """Cut a model in place.

    Args:
        model: The model.
        name: Its name, for messages.
        genome: Its shape afterwards.

    Raises:
        ConfigError: it cannot be cut, or is smaller than that.
    """
    check_elastic(model, name)
    own = genome_of(model)
    _check_room(name, own, genome)
    if genome == own:
        return
    head = int(next(block for block in model.blocks if not isinstance(block, AbsentBlock)).attn.head_dim)
    model.embed_dim = model.num_features = genome.width
    _cut(model, _OUTSIDE, {"D": genome.width})
    for i, (heads, ratio) in enumerate(zip(genome.heads, genome.ratios, strict=True)):
        if not heads:
            model.blocks[i] = AbsentBlock()
            continue
        block = model.blocks[i]
        sizes = {"D": genome.width, "A": heads * head, "H": hidden_width(genome.width, ratio)}
        _cut(block, _IN_BLOCK, sizes)
        timm_blocks.count_heads(block.attn, heads)


def _check_room(name: str, own: Genome, wanted: Genome) -> None:
    """Refuse a shape that a model does not hold."""
    where = f"backbone {name!r}"
    for option in ("block_heads", "block_ratios"):
        found = wanted.heads if option == "block_heads" else wanted.ratios
        if len(found) != len(own.heads):
            raise ConfigError(
                f"{where}: {option} has {len(found)} entries; give one for each of its "
                f"{len(own.heads)} blocks."
            )
    if not wanted.depth:
        raise ConfigError(f"{where}: block_heads are all 0; let one block stay at least.")
    pairs = [("width", wanted.width, own.width)]
    pairs += [
        (f"block_heads[{i}]", h, o) for i, (h, o) in enumerate(zip(wanted.heads, own.heads, strict=True))
    ]
    hidden = [[hidden_width(g.width, ratio) for ratio in g.ratios] for g in (wanted, own)]
    pairs += [(f"hidden width of block {i}", w, o) for i, (w, o) in enumerate(zip(*hidden, strict=True))]
    for what, size, most in pairs:
        if not 0 <= size <= most:
            raise ConfigError(
                f"{where}: {what} is {size}, but the model by this name has {most}; give that at most."
            )


def _cut(root: nn.Module, axes: tuple[tuple[str, str], ...], sizes: dict[str, int]) -> None:
    """Cut the tensors of a module whose axes are known by their names, and leave the others."""
    for prefix, module in root.named_modules():
        for held in (module._parameters, module._buffers):
            for key, tensor in held.items():
                name = f"{prefix}.{key}".lstrip(".")
                letters = next((found for pattern, found in axes if re.fullmatch(pattern, name)), "")
                if tensor is not None and letters:
                    parts = timm_blocks.parts_of(root, name)
                    held[key] = _part(tensor, letters, sizes, parts)
        timm_blocks.restate_sizes(module)


def _part(tensor: Tensor, letters: str, sizes: dict[str, int], parts: int) -> Tensor:
    shape = list(tensor.shape)
    for axis, letter in enumerate(letters[: len(shape)]):
        if letter in sizes:
            shape[axis] = sizes[letter] * (parts if axis == 0 else 1)
    cut = leading(tensor.detach(), shape, parts).clone().contiguous()
    return nn.Parameter(cut, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else cut
