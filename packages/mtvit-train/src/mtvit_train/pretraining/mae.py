"""Masked autoencoding, to teach a backbone from images without labels (He et al. 2022).

hide 75 % of the patches, encode the rest, decode all, and predict the hidden pixels; rotary positions are
those of the patches that are seen:
L = mean over hidden patches of |x_hat - (x - mean(x)) / std(x)|^2
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64, UInt8
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.vit import PlainBackbone, step
from mtvit_core.errors import ConfigError
from mtvit_train.config.pretraining import MaeConfig
from mtvit_train.pretraining.pretext import Crops, Pretext


class MaskedAutoencoder(Pretext):
    """A backbone as encoder, and a light decoder that is thrown away after training."""

    name: ClassVar[str] = "mae"
    backbone: PlainBackbone

    def __init__(self, backbone: Backbone, config: MaeConfig) -> None:
        """Build the decoder.

        Args:
            backbone: The backbone; its canvas is the size of the training images.
            config: Sizes of the decoder, and the share of the patches to hide.

        Raises:
            ConfigError: the backbone is no plain ViT.
        """
        if not isinstance(backbone, PlainBackbone):
            raise ConfigError(
                f"backbone {backbone.name!r}: masked autoencoding runs the blocks of timm's plain ViTs on "
                "the patches that are seen; take one of those, or --method distill."
            )
        super().__init__(backbone)
        self.ratio, width = config.ratio, config.width
        spec = backbone.spec
        patches = spec.grid[0] * spec.grid[1]
        self.narrow = nn.Linear(spec.width, width)
        self.hidden = nn.Parameter(nn.init.normal_(torch.empty(width), std=0.02))
        self.position = nn.Parameter(nn.init.normal_(torch.empty(patches, width), std=0.02))
        blocks = [Block(width, config.heads, qkv_bias=True) for _ in range(config.depth)]
        for block in blocks:
            # The fused kernel is the slower one for short sequences in bfloat16 on a CPU.
            block.attn.fused_attn = False
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, 3 * spec.patch[0] * spec.patch[1])

    def terms(self, crops: Crops, lessons: Mapping[str, Any]) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of one draw of hidden patches."""
        return {"pixels": self(crops.large[:, 0])}

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        """Return the loss of one draw of hidden patches, taken from torch's global generator."""
        with self.backbone.autocast():
            return self._loss(self.backbone.normalise(images))

    def _loss(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        embedded = timm_blocks.embed(self.backbone.vit, x, self.backbone.variation.positions_antialias)
        tokens, start = embedded.tokens, self.backbone.prefix
        prefix, patches = tokens[:, :start], tokens[:, start:]
        order = torch.rand(patches.shape[:2]).argsort(1).to(x.device)
        seen = order[:, : round(patches.shape[1] * (1 - self.ratio))]
        encoded = self._encode(torch.cat([prefix, take(patches, seen)], 1), embedded.rope, seen)
        guess = self._decode(encoded[:, start:], seen)
        hidden = order[:, seen.shape[1] :]
        truth = take(normalised_patches(x, self.backbone.spec.patch), hidden)
        return (take(guess, hidden) - truth).square().mean()

    def _encode(
        self, tokens: Float[Tensor, "B S D"], ropes: tuple[Tensor, ...] | None, seen: Int64[Tensor, "B P"]
    ) -> Float[Tensor, "B S D"]:
        layout, vit = Layout(self.backbone.prefix, tokens.shape[1]), self.backbone.vit
        for i, block in enumerate(vit.blocks):
            rope = None if ropes is None else rows_of(ropes[i], seen)
            tokens = step(block, tokens, rope, layout, {}, first=0)
        return vit.norm(tokens)  # type: ignore[no-any-return]  # modules are untyped callables

    def _decode(self, seen: Float[Tensor, "B S D"], index: Int64[Tensor, "B S"]) -> Float[Tensor, "B N P"]:
        narrow = self.narrow(seen)
        full = self.hidden.expand(len(seen), len(self.position), -1).to(narrow.dtype)
        full = full.scatter(1, index[..., None].expand_as(narrow), narrow) + self.position
        return self.pixels(self.norm(self.blocks(full)))  # type: ignore[no-any-return]  # as above


def rows_of(table: Float[Tensor, "*heads N d"], index: Int64[Tensor, "B P"]) -> Float[Tensor, "B heads P d"]:
    """Return the rows of a rotary table that belong to the patches of each image."""
    if table.ndim == 2:
        return table[index][:, None]
    return table[:, index].transpose(0, 1)


def take(tokens: Float[Tensor, "B N D"], index: Int64[Tensor, "B S"]) -> Float[Tensor, "B S D"]:
    """Select tokens per image."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def normalised_patches(images: Float[Tensor, "B 3 H W"], patch: tuple[int, int]) -> Float[Tensor, "B N P"]:
    """Pixels of every patch, each patch shifted and scaled to mean 0 and deviation 1."""
    rows, columns = patch
    images_, _, height, width = images.shape
    cut = images.view(images_, 3, height // rows, rows, width // columns, columns)
    flat = cut.permute(0, 2, 4, 3, 5, 1).reshape(images_, -1, rows * columns * 3)
    return (flat - flat.mean(-1, keepdim=True)) / (flat.var(-1, keepdim=True) + 1e-6).sqrt()
