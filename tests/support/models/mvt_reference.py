"""ViT-MVT written down once more, in loops and under the keys of its authors' files: the oracle for ours."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
#: What a file holds beside the backbone, by task.
HEADS = {
    "cls": ["head.layers.fc.weight"],
    "det": ["neck.convs.0.conv.weight", "rpn_head.rpn_cls.weight", "roi_head.bbox_head.fc_cls.weight"],
    "seg": ["neck.convs.0.conv.weight", "decode_head.conv_seg.weight", "auxiliary_head.conv_seg.weight"],
}


class Drawn:
    """Random weights under the keys of a released file, in double precision.

    Attributes:
        made: The weights.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.made: Weights = {}
        self.number = torch.Generator().manual_seed(3)

    def draw(self, key: str, *shape: int, scale: float | None = None) -> None:
        """A tensor."""
        scale = scale or max(1, math.prod(shape[1:])) ** -0.5
        self.made[key] = torch.randn(*shape, generator=self.number, dtype=torch.float64) * scale

    def layer(self, key: str, *shape: int) -> None:
        """A linear layer, or a convolution."""
        self.draw(f"{key}.weight", *shape)
        self.draw(f"{key}.bias", shape[0], scale=0.3)

    def gated(self, key: str, *shape: int) -> None:
        """A linear layer in two copies."""
        self.layer(key, *shape)
        self.draw(f"{key}.specific_weight", *shape)
        self.draw(f"{key}.specific_bias", shape[0], scale=0.3)
        self.made[f"{key}.score"] = torch.rand(1, generator=self.number, dtype=torch.float64)

    def norm(self, key: str, channels: int) -> None:
        """A norm."""
        self.draw(f"{key}.weight", channels, scale=0.3)
        self.made[f"{key}.weight"] += 1
        self.draw(f"{key}.bias", channels, scale=0.3)

    def batch_norm(self, key: str, channels: int) -> None:
        """A norm with statistics."""
        self.norm(key, channels)
        self.draw(f"{key}.running_mean", channels, scale=0.3)
        spread = torch.rand(channels, generator=self.number, dtype=torch.float64)
        self.made[f"{key}.running_var"] = spread + 0.5
        self.made[f"{key}.num_batches_tracked"] = torch.tensor(7)

    def block(self, key: str, width: int, heads: int, hidden: int, columns: int, span: int) -> None:
        """A block, without what aggregates."""
        self.norm(f"{key}ln1", width)
        self.norm(f"{key}ln2", width)
        self.gated(f"{key}attn.qkv", 3 * 64 * heads, width)
        self.draw(f"{key}attn.relative_position_bias_table", span * span, columns, scale=0.5)
        self.made[f"{key}attn.relative_position_index"] = torch.zeros(4, 4, dtype=torch.int64)
        self.gated(f"{key}attn.proj", width, 64 * heads)
        self.layer(f"{key}se.conv1.conv", width // 8, width, 1, 1)
        self.layer(f"{key}se.conv2.conv", width, width // 8, 1, 1)
        self.gated(f"{key}fc1", hidden, width)
        self.gated(f"{key}fc2", width, hidden)
        self.layer(f"{key}dw.dwconv", hidden, 1, 3, 3)
        self.layer(f"{key}dw_init.dwconv", width, 1, 3, 3)

    def aggregation(self, key: str, width: int) -> None:
        """What aggregates."""
        for j in (1, 2):
            self.draw(f"{key}conv{j}.weight", width, width, 3, 3)
            self.batch_norm(f"{key}bn{j}", width)


def released(
    width: int, heads: list[int], ratios: list[float], side: int, window: int = 0, task: str = "cls"
) -> Weights:
    """Return random weights as a released file holds them.

    Args:
        width: Token width.
        heads: Of each block.
        ratios: Of each block.
        side: Rows and columns of patches.
        window: Side of the windows, where every other block aggregates; 0: the whole map.
        task: Whose head stands beside.
    """
    drawn, root = Drawn(), "model.backbone."
    for place, shape in ((0, (64, 3, 7, 7)), (3, (64, 64, 3, 3)), (6, (64, 64, 3, 3))):
        drawn.draw(f"{root}cnn_pre.{place}.weight", *shape)
        drawn.batch_norm(f"{root}cnn_pre.{place + 1}", 64)
    drawn.layer(f"{root}patch_embed.proj", width, 64, 8, 8)
    drawn.draw(f"{root}pos_embed.cls_token", 1, side * side, width, scale=0.3)
    for i, (count, ratio) in enumerate(zip(heads, ratios, strict=True)):
        span = 2 * (window or side) - 1
        drawn.block(f"{root}layers.{i}.", width, count, int(width * ratio), max(heads), span)
        if window and i % 2:
            drawn.aggregation(f"{root}layers.{i}.cnn_aggregation.", width)
    drawn.norm(f"{root}ln1", width)
    for key in HEADS[task]:
        drawn.draw(f"model.{key}", 5, width)
    return drawn.made


def forward(
    weights: Weights, images: Tensor, heads: list[int], eps: float, se: str = "attention", window: int = 0
) -> Tensor:
    """Return the map B C h w after the final norm.

    Args:
        weights: As ``released`` makes them.
        images: Normalised, B 3 H W.
        heads: Of each block.
        eps: Of every LayerNorm.
        se: As the option of the backbone.
        window: The same.
    """
    own = {
        k.removeprefix("model.backbone."): v for k, v in weights.items() if k.startswith("model.backbone.")
    }
    x = images
    for place, stride, pad in ((0, 2, 3), (3, 1, 1), (6, 1, 1)):
        x = F.conv2d(x, own[f"cnn_pre.{place}.weight"], stride=stride, padding=pad)
        x = F.relu(batch_norm(x, own, f"cnn_pre.{place + 1}"))
    x = F.conv2d(x, own["patch_embed.proj.weight"], own["patch_embed.proj.bias"], stride=8)
    side = math.isqrt(own["pos_embed.cls_token"].shape[1])
    table = own["pos_embed.cls_token"].transpose(1, 2).unflatten(2, (side, side))
    if x.shape[2:] != table.shape[2:]:
        table = F.interpolate(table, size=x.shape[2:], mode="bicubic", align_corners=False)
    x = x + table
    for i, count in enumerate(heads):
        x = block(x, own, f"layers.{i}.", count, eps, se, window)
    return layer_norm(x, own, "ln1", eps)


def block(x: Tensor, own: Weights, at: str, heads: int, eps: float, se: str, window: int) -> Tensor:
    """One block on a map."""
    channels = x.shape[1]
    x = x + F.conv2d(
        x, own[f"{at}dw_init.dwconv.weight"], own[f"{at}dw_init.dwconv.bias"], padding=1, groups=channels
    )
    normed = layer_norm(x, own, f"{at}ln1", eps)
    y = attention(normed, own, at, heads, window)
    if se != "none":
        pooled = (y if se == "attention" else normed).mean((2, 3), keepdim=True)
        gate = F.relu(F.conv2d(pooled, own[f"{at}se.conv1.conv.weight"], own[f"{at}se.conv1.conv.bias"]))
        gate = torch.sigmoid(F.conv2d(gate, own[f"{at}se.conv2.conv.weight"], own[f"{at}se.conv2.conv.bias"]))
        y = y * gate
    x = x + y
    t = linear(layer_norm(x, own, f"{at}ln2", eps), own, f"{at}fc1")
    filters, bias = own[f"{at}dw.dwconv.weight"], own[f"{at}dw.dwconv.bias"]
    t = t + F.conv2d(t, filters, bias, padding=1, groups=t.shape[1])
    x = x + linear(F.gelu(t), own, f"{at}fc2")
    if f"{at}cnn_aggregation.conv1.weight" in own:
        z = F.conv2d(x, own[f"{at}cnn_aggregation.conv1.weight"], padding=1)
        z = F.relu(batch_norm(z, own, f"{at}cnn_aggregation.bn1"))
        z = F.conv2d(z, own[f"{at}cnn_aggregation.conv2.weight"], padding=1)
        x = F.relu(x + batch_norm(z, own, f"{at}cnn_aggregation.bn2"))
    return x


def attention(normed: Tensor, own: Weights, at: str, heads: int, window: int) -> Tensor:
    """Attention window by window and head by head; zeros fill the last windows."""
    rows, columns = normed.shape[2:]
    high, wide = (window, window) if window else (rows, columns)
    padded = F.pad(normed, (0, -columns % wide, 0, -rows % high))
    weight, out = own[f"{at}attn.qkv.weight"], torch.zeros_like(padded)
    shared = own[f"{at}attn.qkv.score"].item() > 0.5
    bias = own[f"{at}attn.qkv.bias" if shared else f"{at}attn.qkv.specific_bias"]
    apart = [weight[i::3] for i in range(3)]
    q, k, v = (
        torch.einsum("oc,bchw->bohw", part, padded) + b[None, :, None, None]
        for part, b in zip(apart, bias.chunk(3), strict=True)
    )
    table = own[f"{at}attn.relative_position_bias_table"]
    spots = [(r, c) for r in range(high) for c in range(wide)]
    away = [[(r - s + high - 1) * (2 * wide - 1) + c - t + wide - 1 for s, t in spots] for r, c in spots]
    for top in range(0, padded.shape[2], high):
        for left in range(0, padded.shape[3], wide):
            cut = (..., slice(top, top + high), slice(left, left + wide))
            seen = []
            for head in range(heads):
                own_channels = slice(64 * head, 64 * head + 64)
                a, b, c = (part[cut][:, own_channels].flatten(2) for part in (q, k, v))
                scores = torch.einsum("bdn,bdm->bnm", a, b) * 0.125 + table[torch.tensor(away), head]
                seen.append(torch.einsum("bnm,bdm->bdn", scores.softmax(2), c))
            mixed = linear(torch.cat(seen, 1).unflatten(2, (high, wide)), own, f"{at}attn.proj")
            out[cut] = mixed
    return out[:, :, :rows, :columns]


def linear(x: Tensor, own: Weights, key: str) -> Tensor:
    """A linear layer at each place of a map, of the copy that its score chooses."""
    kind = "" if own[f"{key}.score"].item() > 0.5 else "specific_"
    weight, bias = own[f"{key}.{kind}weight"], own[f"{key}.{kind}bias"]
    return torch.einsum("oc,bchw->bohw", weight, x) + bias[None, :, None, None]


def layer_norm(x: Tensor, own: Weights, key: str, eps: float) -> Tensor:
    """LayerNorm over channels."""
    mean, spread = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    weight, bias = (own[f"{key}.{part}"][None, :, None, None] for part in ("weight", "bias"))
    return (x - mean) / (spread + eps).sqrt() * weight + bias


def batch_norm(x: Tensor, own: Weights, key: str) -> Tensor:
    """Batch norm by running statistics."""
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, spread, weight, bias = (own[f"{key}.{part}"][None, :, None, None] for part in parts)
    return (x - mean) / (spread + 1e-5).sqrt() * weight + bias
