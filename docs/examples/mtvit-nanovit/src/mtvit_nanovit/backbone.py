"""A small ViT (Dosovitskiy et al. 2021) with sine positions and register tokens (Darcet et al. 2024)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout, attend
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, BackboneSpec, Option, check_divides
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.token_pass import through_blocks
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import ShapeError


class NanoOptions(BaseModel):
    """What ``model.options`` may hold; the width is a multiple of 4 and of the heads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(96, ge=4, multiple_of=4)
    depth: int = Field(4, ge=1)
    heads: int = Field(3, ge=1)
    patch: int = Field(8, ge=1)
    registers: int = Field(4, ge=1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self,
        tokens: Float[Tensor, "B S D"],
        layout: Layout,
        masks: Mapping[str, Bool[Tensor, "B Q N"]],
        first: int,
    ) -> Float[Tensor, "B rest D"]:
        """Return the tokens from index ``first`` on; ``attend`` knows who may see whom."""
        qkv = self.qkv(self.norm1(tokens)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        seen = attend(q[:, :, first:], k, v, layout, masks)
        tokens = tokens[:, first:] + self.proj(seen.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]  # modules are untyped callables


class NanoViT(Backbone):
    """Patches cut by a convolution, blocks, and a final norm."""

    def __init__(
        self, name: str, canvas: tuple[int, int], options: Mapping[str, Option], own: NanoOptions
    ) -> None:
        """Draw the weights.

        Args:
            name: Its name.
            canvas: Rows and columns that it is built for.
            options: Options as given, kept for checkpoints.
            own: The same with those of the model by that name.
        """
        width, patch = own.width, own.patch
        spec = BackboneSpec(width, own.depth, (patch, patch), canvas, own.heads)
        super().__init__(name, options, spec, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.cut = nn.Conv2d(3, width, patch, patch)
        self.registers = nn.Parameter(0.02 * torch.randn(own.registers, width))
        self.layers = nn.ModuleList(Block(width, own.heads) for _ in range(own.depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Embed the images and run the blocks; groups, masks and depths are ``through_blocks``'s part."""
        check_divides((images.shape[2], images.shape[3]), self.spec.patch, "image", ShapeError)
        with self.autocast():
            cut = self.cut(self.normalise(images))
        grid = (cut.shape[2], cut.shape[3])
        tokens = cut.flatten(2).transpose(1, 2) + sine_positions(grid, self.registers)
        context = torch.cat([self.registers.expand(images.shape[0], -1, -1), tokens], 1)

        def run(i: int, x: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int) -> Tensor:
            out: Tensor = self.recomputed(self.layers[i], x, layout, masks, first)
            return out

        request = Request(groups, maskers or {}, patches, proposals, depths)
        return through_blocks(self, context, grid, request, run, self.norm)

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks in order."""
        return tuple(self.layers)

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies."""
        part, _, rest = parameter.partition(".")
        if part == "layers":
            return int(rest.split(".")[0]) + 1
        return self.spec.depth + 1 if part == "norm" else 0

    def decays(self, parameter: str) -> bool:
        """Leave out the registers, which are no matrix."""
        return super().decays(parameter) and parameter != "registers"


def sine_positions(grid: tuple[int, int], like: Tensor) -> Float[Tensor, "N D"]:
    """Return sines and cosines of row and column, a quarter of the width each (Vaswani et al. 2017)."""
    quarter = like.shape[-1] // 4
    rate = 1000 ** -(torch.arange(quarter, device=like.device) / quarter)
    rows, columns = (torch.arange(n, device=like.device)[:, None] * rate for n in grid)
    of_rows = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, grid[1], -1)
    of_columns = torch.cat([columns.sin(), columns.cos()], 1).expand(grid[0], -1, -1)
    return torch.cat([of_rows, of_columns], 2).flatten(0, 1).to(like.dtype)
