"""Masked autoencoding, to teach a backbone from images without labels (He et al. 2022).

hide 75 % of the patches, encode the rest, decode all, and predict the hidden pixels:
L = mean over hidden patches of |x_hat - (x - mean(x)) / std(x)|^2
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int64, UInt8
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.vit import PlainBackbone, step
from mtvit_core.errors import ConfigError

#: Largest shift of an image in pixels, so that patch borders fall elsewhere each time.
SHIFT = 12


class MaskedAutoencoder(nn.Module):
    """A backbone as encoder, and a light decoder that is thrown away after training.

    Attributes:
        encoder: The backbone that learns.
        ratio: Share of the patches that is hidden.
    """

    def __init__(
        self, encoder: Backbone, width: int = 128, depth: int = 2, heads: int = 4, ratio: float = 0.75
    ) -> None:
        """Build the decoder.

        Args:
            encoder: The backbone; its canvas is the size of the training images.
            width: Width of the decoder's tokens.
            depth: Blocks of the decoder.
            heads: Attention heads of the decoder.
            ratio: Share of the patches to hide.

        Raises:
            ConfigError: the backbone is no plain ViT.
        """
        super().__init__()
        if not isinstance(encoder, PlainBackbone):
            raise ConfigError(
                f"backbone {encoder.name!r}: masked autoencoding runs the blocks of timm's plain ViTs on the "
                "patches that are seen; take one of those, or --method figures."
            )
        self.encoder = encoder
        self.ratio = ratio
        spec = encoder.spec
        patches = spec.grid[0] * spec.grid[1]
        self.narrow = nn.Linear(spec.width, width)
        self.hidden = nn.Parameter(nn.init.normal_(torch.empty(width), std=0.02))
        self.position = nn.Parameter(nn.init.normal_(torch.empty(patches, width), std=0.02))
        blocks = [Block(width, heads, qkv_bias=True) for _ in range(depth)]
        for block in blocks:
            # The fused kernel is the slower one for short sequences in bfloat16 on a CPU.
            block.attn.fused_attn = False
        blocks = [Block(width, heads, qkv_bias=True) for _ in range(depth)]
        for block in blocks:
            # The fused kernel is the slower one for short sequences in bfloat16 on a CPU.
            block.attn.fused_attn = False
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, 3 * spec.patch[0] * spec.patch[1])

    def batches(self, images: UInt8[Tensor, "I 3 H W"]) -> Callable[[int], UInt8[Tensor, "B 3 H W"]]:
        """Return what draws batches for ``forward`` from unlabelled images."""
        return partial(self.sample, images)

    def sample(self, images: UInt8[Tensor, "I 3 H W"], count: int) -> UInt8[Tensor, "B 3 H W"]:
        """Draw images; half are mirrored, all are shifted by up to ``SHIFT`` pixels around the edge."""
        batch = images[torch.randint(len(images), (count,))]
        mirrored = torch.rand(count)[:, None, None, None] < 0.5
        down, across = (int(v) for v in torch.randint(-SHIFT, SHIFT + 1, (2,)))
        return torch.where(mirrored, batch.flip(-1), batch).roll((down, across), (2, 3))

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        """Return the loss of one draw of hidden patches, taken from torch's global generator."""
        with self.encoder.autocast():
            return self._loss(self.encoder.normalise(images))

    def _loss(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
        embedded = timm_blocks.embed(self.encoder.vit, x)
        if embedded.rope is not None:
            raise ConfigError(
                f"backbone {self.encoder.name!r}: masked autoencoding hides patches, and its rotary "
                "positions would no longer fit the rest; take a backbone with learned positions, or "
                "--method figures."
            )
        tokens = embedded.tokens
        prefix, patches = tokens[:, : self.encoder.prefix], tokens[:, self.encoder.prefix :]
        order = torch.rand(patches.shape[:2], device=patches.device).argsort(1)
        seen = order[:, : round(patches.shape[1] * (1 - self.ratio))]
        encoded = self._encode(torch.cat([prefix, take(patches, seen)], 1))
        guess = self._decode(encoded[:, self.encoder.prefix :], seen)
        hidden = order[:, seen.shape[1] :]
        truth = take(normalised_patches(x, self.encoder.spec.patch), hidden)
        return (take(guess, hidden) - truth).square().mean()

    def _encode(self, tokens: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        layout = Layout(self.encoder.prefix, tokens.shape[1])
        for block in self.encoder.vit.blocks:
            tokens = step(block, tokens, None, layout, {}, first=0)
        return self.encoder.vit.norm(tokens)  # type: ignore[no-any-return]  # modules are untyped callables

    def _decode(self, seen: Float[Tensor, "B S D"], index: Int64[Tensor, "B S"]) -> Float[Tensor, "B N P"]:
        narrow = self.narrow(seen)
        full = self.hidden.expand(len(seen), len(self.position), -1).to(narrow.dtype)
        full = full.scatter(1, index[..., None].expand_as(narrow), narrow) + self.position
        return self.pixels(self.norm(self.blocks(full)))  # type: ignore[no-any-return]  # as above


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
