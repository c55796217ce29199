"""ViT-MVT's network as a backbone; ``block`` and ``token_pass`` have the equations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtvit_core.backbones.absent import AbsentBlock
from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, BackboneSpec, Option, check_divides
from mtvit_core.backbones.known_context import KnownContext
from mtvit_core.backbones.mvt.attention import Place
from mtvit_core.backbones.mvt.block import MvtBlock
from mtvit_core.backbones.mvt.maps import as_tokens
from mtvit_core.backbones.mvt.options import PATCH, MvtOptions
from mtvit_core.backbones.mvt.relative import offsets
from mtvit_core.backbones.mvt.stem import make_stem
from mtvit_core.backbones.plain.positions import resize_tables
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.token_pass import RunBlock, known_context, through_blocks
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import ShapeError

#: Those of ImageNet.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MvtBackbone(Backbone):
    """Stem, positions, blocks and final norm; there is no class token.

    Attributes:
        own: What it is made of.
    """

    def __init__(
        self, name: str, canvas: tuple[int, int], options: Mapping[str, Option], own: MvtOptions
    ) -> None:
        """Draw the weights.

        Args:
            name: Its name.
            canvas: Rows and columns that it is built for.
            options: Options as given, kept for checkpoints.
            own: The same with those of the model by that name.
        """
        spec = BackboneSpec(own.seen_width, len(own.block_heads), (PATCH, PATCH), canvas, own.seen_heads)
        super().__init__(name, options, spec, _MEAN, _STD)
        self.own = own
        count = spec.grid[0] * spec.grid[1]
        self.stem = make_stem(own.width)
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, own.width), std=0.02))
        self.layers = nn.ModuleList(
            MvtBlock(own, i, self._window(spec.grid)) if heads else AbsentBlock()
            for i, heads in enumerate(own.block_heads)
        )
        self.norm = nn.LayerNorm(own.width, eps=own.norm_eps)
        self.apply(_start)

    def _window(self, grid: tuple[int, int]) -> tuple[int, int]:
        return (self.own.window, self.own.window) if self.own.window else grid

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
            ShapeError: the patch does not divide the image.
        """
        embedded, grid = self._embed(images)
        request = Request(groups, maskers or {}, patches, proposals, depths)
        return through_blocks(self, embedded, grid, request, self._run(grid), self.norm)

    def context(self, images: UInt8[Tensor, "B 3 H W"], depths: Sequence[int]) -> dict[int, Tensor]:
        """Return the context at some depths, see ``Backbone.context``.

        Raises:
            ShapeError: the patch does not divide the image.
        """
        embedded, grid = self._embed(images)
        with self.autocast():
            return known_context(embedded, grid, depths, self._run(grid))

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
        grid = self._grid(canvas)
        request = Request(groups, maskers or {}, patches, proposals, depths)
        return through_blocks(self, known, grid, request, self._run(grid), self.norm)

    def _grid(self, canvas: tuple[int, int]) -> tuple[int, int]:
        check_divides(canvas, self.spec.patch, "image", ShapeError)
        return canvas[0] // PATCH, canvas[1] // PATCH

    def _embed(self, images: UInt8[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B N C"], tuple[int, int]]:
        grid = self._grid((int(images.shape[-2]), int(images.shape[-1])))
        with self.autocast():
            table = resize_tables(self.positions, self.spec.grid, grid, prefix=0, antialias=False)
            return as_tokens(self.stem(self.normalise(images))) + table, grid

    def _run(self, grid: tuple[int, int]) -> RunBlock:
        window = self._window(grid)
        place = Place(grid, window, offsets(window, self.mean.device))

        def run(i: int, tokens: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int) -> Tensor:
            block = self.layers[i]
            if isinstance(block, AbsentBlock):
                return block(tokens, first)  # type: ignore[no-any-return]  # modules are untyped callables
            found: Tensor = self.recomputed(block, tokens, layout, masks, first, place)
            return found

        return run

    def recomputed(self, run: Callable[..., Tensor], *arguments: Any) -> Float[Tensor, "B S C"]:
        """Run a block so that ``checkpointing`` holds for it; batch norms count what they see once."""
        if not (self.checkpointing and self.training):
            return run(*arguments)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _keeping_statistics(self.layers, self.recomputing())

        found: Tensor = checkpoint(run, *arguments, use_reentrant=False, context_fn=contexts)
        return found

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks."""
        return tuple(self.layers)

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies."""
        part, _, rest = parameter.partition(".")
        if part == "layers":
            return int(rest.split(".")[0]) + 1
        return self.spec.depth + 1 if part == "norm" else 0

    def decays(self, parameter: str) -> bool:
        """Leave out tables of positions, absolute and relative."""
        return super().decays(parameter) and not parameter.endswith(("positions", "attention.table"))


def _start(module: nn.Module) -> None:
    """Draw linear layers from a normal of deviation 0.02, without biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


@contextmanager
def _keeping_statistics(blocks: nn.Module, weights: AbstractContextManager[None]) -> Iterator[None]:
    """A context in which blocks are recomputed with their weights: batch norms do not count a batch again."""
    norms = [module for module in blocks.modules() if isinstance(module, nn.BatchNorm2d)]
    with weights:
        kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            for norm, momentum, count in kept:
                norm.momentum, norm.num_batches_tracked = momentum, count
