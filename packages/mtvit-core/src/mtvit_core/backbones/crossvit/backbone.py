"""A ViT of two branches (Chen et al. 2021): one is what tasks read and queries join, the other informs it.

z_r, z_o = embed_r(image), embed_o(image resized)
each stage: z_r, z_o <- exchange(blocks_r(z_r), blocks_o(z_o))
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.crossvit.bare import BareBlock
from mtvit_core.backbones.crossvit.branch import BranchEmbedding
from mtvit_core.backbones.crossvit.exchange import EPS, ClassExchange, PatchExchange
from mtvit_core.backbones.crossvit.options import CrossOptions
from mtvit_core.backbones.crossvit.stage import TwoBranchBlock
from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone, BackboneSpec, Option, check_divides
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.token_pass import through_blocks
from mtvit_core.backbones.tokens import QueryMasker, TokenGroup
from mtvit_core.errors import ShapeError

_EXCHANGES = {"class": ClassExchange, "patches": PatchExchange}
#: Those of ImageNet.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class CrossBackbone(Backbone):
    """Two branches; of each pair of modules the first one is that of the branch that is read.

    Attributes:
        own: What it is made of.
    """

    def __init__(
        self, name: str, canvas: tuple[int, int], options: Mapping[str, Option], own: CrossOptions
    ) -> None:
        """Draw the weights.

        Args:
            name: Its name.
            canvas: Rows and columns that it is built for.
            options: Options as given, kept for checkpoints.
            own: The same with those of the model by that name.
        """
        patch, width, heads, depth = (
            (pair[own.order[0]], pair[own.order[1]])
            for pair in (own.patches, own.widths, own.heads, own.depths)
        )
        side = (patch[0], patch[0])
        spec = BackboneSpec(width[0], own.stages * depth[0], side, canvas, heads[0], class_tokens=width)
        super().__init__(name, options, spec, _MEAN, _STD)
        self.own = own
        self.embeddings = nn.ModuleList(
            BranchEmbedding(patch[i], width[i], own.stem, canvas, (1.0, own.scale)[i]) for i in range(2)
        )
        rates = torch.linspace(0, own.drop_path_rate, spec.depth, device="cpu").tolist()
        self.stages = nn.ModuleList(
            self._block(width, heads, depth, rate, ends=(i + 1) % depth[0] == 0)
            for i, rate in enumerate(rates)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size, eps=EPS) for size in width)
        self.join = nn.Linear(width[1], width[0]) if own.join else None
        self.apply(_start)

    def _block(
        self, width: tuple[int, int], heads: tuple[int, int], depth: tuple[int, int], rate: float, ends: bool
    ) -> TwoBranchBlock:
        def block(i: int) -> nn.Module:
            if self.own.blocks == "bare":
                return BareBlock(width[i], heads[i])
            whole: nn.Module = Block(
                width[i],
                heads[i],
                self.own.mlp_ratio,
                qkv_bias=True,
                drop_path=rate,
                norm_layer=partial(nn.LayerNorm, eps=EPS),
            )
            return whole

        exchange = (
            _EXCHANGES[self.own.exchange](width, heads, rate)
            if ends and self.own.exchange != "none"
            else None
        )
        return TwoBranchBlock(block(0), [block(1) for _ in range(depth[1])] if ends else [], exchange)

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: Mapping[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
        depths: Sequence[int] = (),
    ) -> Features:
        """Run both branches, see ``Backbone.forward``.

        Raises:
            ShapeError: the patch of the branch that is read does not divide the image.
        """
        canvas = (int(images.shape[2]), int(images.shape[3]))
        check_divides(canvas, self.spec.patch, "image", ShapeError)
        with self.autocast():
            normal = self.normalise(images)
            context, other = (embed(normal) for embed in self.embeddings)

        def run(i: int, tokens: Tensor, layout: Layout, masks: Mapping[str, Tensor], first: int) -> Tensor:
            nonlocal other
            stage, beside = self.stages[i], other if self.stages[i].ends_stage else None
            tokens, told = self._run(stage, tokens, beside, layout, masks, first)
            other = other if told is None else told
            return tokens

        grid = (canvas[0] // self.spec.patch[0], canvas[1] // self.spec.patch[1])
        request = Request(groups, maskers or {}, patches, proposals, depths)
        found = through_blocks(self, context, grid, request, run, self.norms[0])
        return self._joined(found, self.norms[1](other.to(self.mean.dtype))) if patches else found

    def _run(self, stage: nn.Module, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        """Run a block as ``recomputed`` does, which returns one tensor alone."""
        if self.checkpointing and self.training:
            again: tuple[Tensor, Tensor | None] = checkpoint(stage, *arguments, use_reentrant=False)
            return again
        found: tuple[Tensor, Tensor | None] = stage(*arguments)
        return found

    def branch(self, place: int) -> BranchEmbedding:
        """Return how a branch sees images: 0 the one that is read, 1 the other."""
        found = self.embeddings[place]
        assert isinstance(found, BranchEmbedding)
        return found

    def _joined(self, found: Features, other: Float[Tensor, "B S D"]) -> Features:
        """Add what the other branch says at the output."""
        found = replace(found, class_tokens=(*found.class_tokens, other[:, 0]))
        if self.join is None:
            return found
        last, grid = found.last, self.branch(1).grid_of(found.canvas)
        more = self.join(other[:, 1:]).transpose(1, 2).unflatten(2, grid)
        more = F.interpolate(more, size=last.patches.shape[2:], mode="bilinear", align_corners=False)
        return replace(
            found, layers={**found.layers, found.depth: replace(last, patches=last.patches + more)}
        )

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks of the branch that is read, with what happens beside them."""
        return tuple(self.stages)

    def depth_of(self, parameter: str) -> int:
        """Return how deep a weight lies."""
        part, _, rest = parameter.partition(".")
        if part == "stages":
            return int(rest.split(".")[0]) + 1
        return self.spec.depth + 1 if part in ("norms", "join") else 0

    def decays(self, parameter: str) -> bool:
        """Leave out tables of positions and class tokens."""
        return super().decays(parameter) and not parameter.endswith(("positions", "class_token"))


def _start(module: nn.Module) -> None:
    """Draw linear layers from a normal of deviation 0.02, without biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
