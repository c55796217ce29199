"""A plain ViT of timm as a backbone; ``token_pass`` has the equations."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mtvit_core.backbones.absent import AbsentBlock
from mtvit_core.backbones.attention import Layout, attend
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, BackboneSpec, Option, check_divides
from mtvit_core.backbones.known_context import KnownContext
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.fewer_tokens import FewerTokens
from mtvit_core.backbones.plain.options import PlainOptions, split_options
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.token_pass import RunBlock, known_context, through_blocks
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError, ShapeError


def step(
    block: timm_blocks.PlainBlock | AbsentBlock,
    tokens: Float[Tensor, "B S D"],
    rope: Tensor | None,
    layout: Layout,
    masks: Mapping[str, Bool[Tensor, "B Q N"]],
    first: int,
) -> Float[Tensor, "B rest D"]:
    """Run one block over the tokens of all groups; return those from index ``first`` on."""
    if isinstance(block, AbsentBlock):
        return block(tokens, first)  # type: ignore[no-any-return]  # modules are untyped callables
    return timm_blocks.finish(block, tokens[:, first:], _attended(block, tokens, rope, layout, masks, first))


def _attended(
    block: timm_blocks.PlainBlock,
    tokens: Tensor,
    rope: Tensor | None,
    layout: Layout,
    masks: Mapping[str, Tensor],
    first: int,
) -> Tensor:
    """What tokens attend to; queries, keys and values are gone before the rest of the block needs memory."""
    q, k, v = timm_blocks.project(block, tokens, rope, slice(layout.prefix, layout.context))
    return attend(q[:, :, first:], k, v, layout, masks)


class PlainBackbone(Backbone):
    """A plain ViT of timm; its blocks are run by ``step``, not as timm runs them.

    Attributes:
        vit: The timm model, without classifier.
        variation: What differs from timm's model.
        fewer: Which patches stay to the end; None where all do.
    """

    block_method = "run"

    def __init__(
        self, vit: nn.Module, name: str, canvas: tuple[int, int], options: Mapping[str, Option] | None = None
    ) -> None:
        """Wrap a timm ViT.

        Args:
            vit: A plain pre-norm ViT of timm, built with ``dynamic_img_size=True``, varied as options say.
            name: timm's name of it.
            canvas: Rows H and columns W that the model is built for; other sizes work too.
            options: Arguments of timm it was built with, and those of ``PlainOptions``.

        Raises:
            ConfigError: the model is not a plain ViT, or the patch size does not divide the canvas.
        """
        plain = timm_blocks.check_plain(vit, name)
        timm_blocks.drop_unused(plain)
        options = dict(options or {})
        variation = validate(PlainOptions, split_options(options)[0], f"backbone {name}: options")
        rows, columns = plain.patch_embed.patch_size
        width = variation.token_width or plain.embed_dim
        if width < plain.embed_dim:
            raise ConfigError(
                f"backbone {name!r}: token_width is {width}, but the trunk is {plain.embed_dim} wide; give "
                "that or more, or 0 for that of the trunk."
            )
        tokens = () if plain.cls_token is None else (width,)
        heads = width // timm_blocks.present(plain)[0].attn.head_dim  # of a supernet's networks all the same
        spec = BackboneSpec(width, len(plain.blocks), (rows, columns), canvas, heads, tokens)
        timms = plain.pretrained_cfg
        mean, std = variation.pixel_mean or timms["mean"], variation.pixel_std or timms["std"]
        super().__init__(name, options, spec, mean, std)
        self.vit = plain
        self.variation = variation
        self.fewer: FewerTokens | None = None
        if variation.keep < 1:
            self.fewer = FewerTokens(plain.embed_dim, variation.keep_after, variation.keep)
        for block in plain.blocks:
            block.run = partial(step, block)

    @property
    def prefix(self) -> int:
        """Number of class and register tokens R."""
        return int(self.vit.num_prefix_tokens)

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run all blocks once, see ``Backbone.forward``.

        Raises:
            ShapeError: the patch size does not divide the image.
        """
        embedded, grid = self._embed(images)
        request = Request(groups, maskers or {}, patches, proposals, depths)
        run, tables = self._run(embedded.rope, grid), self._tables(grid)
        return through_blocks(self, embedded.tokens, grid, request, run, self.vit.norm, tables)

    def context(self, images: UInt8[Tensor, "B 3 H W"], depths: Sequence[int]) -> dict[int, Tensor]:
        """Return the context at some depths, see ``Backbone.context``.

        Raises:
            ShapeError: the patch size does not divide the image.
            ConfigError: patches leave on the way, so that blocks cannot be skipped.
        """
        self._check_all_stay()
        embedded, grid = self._embed(images)
        with self.autocast():
            return known_context(
                embedded.tokens, grid, depths, self._run(embedded.rope, grid), self._tables(grid)
            )

    def forward_known(
        self,
        known: KnownContext,
        canvas: tuple[int, int],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run the blocks on a known context, see ``Backbone.forward_known``."""
        self._check_all_stay()
        grid = self._grid(canvas)
        rope = timm_blocks.rotary(self.vit, grid)
        request = Request(groups, maskers or {}, patches, proposals, depths)
        return through_blocks(
            self, known, grid, request, self._run(rope, grid), self.vit.norm, self._tables(grid)
        )

    def class_attention(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B A h w"] | None:
        """Return softmax(q_class k^T / sqrt d) of the last block, patches alone (Caron et al. 2021, Fig. 1).

        None where there is no class token, or patches leave on the way.
        """
        if self.vit.cls_token is None or self.fewer is not None:
            return None
        grid = self._grid((int(images.shape[-2]), int(images.shape[-1])))
        last = max(i for i, block in enumerate(self.vit.blocks) if not isinstance(block, AbsentBlock))
        ropes, tokens = timm_blocks.rotary(self.vit, grid), self.context(images, (last,))[last]
        patches = slice(self.prefix, tokens.shape[1])
        with self.autocast():
            q, k, _ = timm_blocks.project(
                self.vit.blocks[last], tokens, None if ropes is None else ropes[last], patches
            )
        weights = (q[:, :, 0].unsqueeze(2) @ k.mT * q.shape[-1] ** -0.5).float().softmax(-1)
        found: Tensor = weights[:, :, 0, self.prefix :].unflatten(-1, grid)
        return found

    def _check_all_stay(self) -> None:
        if self.fewer is not None:
            raise ConfigError(
                f"backbone {self.name!r}: keep is {self.fewer.keep:g}, and which patches leave is settled on "
                "the way, so frozen blocks cannot be cached; set cache.views=0, or train without keep."
            )

    def _grid(self, canvas: tuple[int, int]) -> tuple[int, int]:
        check_divides(canvas, self.spec.patch, "image", ShapeError)
        return canvas[0] // self.spec.patch[0], canvas[1] // self.spec.patch[1]

    def _embed(self, images: UInt8[Tensor, "B 3 H W"]) -> tuple[timm_blocks.Embedded, tuple[int, int]]:
        grid = self._grid((int(images.shape[-2]), int(images.shape[-1])))
        antialias = self.variation.positions_antialias
        with self.autocast():
            return timm_blocks.embed(self.vit, self.normalise(images), antialias), grid

    def _run(
        self,
        ropes: tuple[Tensor, ...] | None,
        grid: tuple[int, int],
        blocks: Sequence[Any] | None = None,
    ) -> RunBlock:
        chosen = self.vit.blocks if blocks is None else blocks

        def run(i: int, tokens: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int) -> Tensor:
            rope = None if ropes is None else ropes[i]
            found: Tensor = self.recomputed(chosen[i].run, tokens, rope, layout, masks, first)
            return found

        return run if self.fewer is None else self.fewer.around(run, grid)

    def _tables(self, grid: tuple[int, int]) -> list[Tensor | None]:
        return [None, *self.variation.tables_between(self.vit, grid)]

    def blocks(self) -> Sequence[nn.Module]:
        """Return timm's blocks."""
        return tuple(self.vit.blocks)

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies, by timm's names."""
        if self.fewer is not None and parameter.startswith("fewer."):
            return self.fewer.after
        block = re.match(r"vit\.blocks\.(\d+)\.", parameter)
        if block:
            return int(block[1]) + 1
        return self.spec.depth + 1 if parameter.startswith("vit.norm.") else 0

    def decays(self, parameter: str) -> bool:
        """Leave out tables of positions, and class and register tokens."""
        return super().decays(parameter) and not parameter.endswith(("pos_embed", "_token"))

    def parts_of(self, tensor: str) -> int:
        """Return how many parts a tensor packs, by timm's names."""
        block = re.match(r"vit\.blocks\.(\d+)\.(.*)", tensor)
        return timm_blocks.parts_of(self.vit.blocks[int(block[1])], block[2]) if block else 1

    def weights(self) -> dict[str, Tensor]:
        """Return the weights in timm's keys."""
        return dict(self.vit.state_dict())

    def compile_blocks(self) -> None:
        """Compile ``step``, once for all blocks."""
        compiled = torch.compile(step)
        for block in self.vit.blocks:
            block.run = partial(compiled, block)
