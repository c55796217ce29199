"""A plain ViT of timm that task tokens can join at any block.

    x_0 = embed(image)
    x_i+1 = block_i([x_i, groups entering at i])
    features_i = norm(x_i)

The final norm of the backbone applies at every depth that is read.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtvit_core.backbones.attention import Layout, attend
from mtvit_core.backbones.features import Features, LayerFeatures
from mtvit_core.backbones.interface import BackboneSpec, Option, check_divides
from mtvit_core.backbones.plain import timm_blocks
from mtvit_core.backbones.plain.options import PlainOptions, split_options
from mtvit_core.backbones.tokens import Context, Pick, QueryMasker, TokenGroup
from mtvit_core.config import validate
from mtvit_core.errors import ShapeError

#: Runs one block: its tokens B S D, rotary positions, where each group stands, masks by group, and the index
#: of the first token that is wanted.
BlockStep = Callable[
    [timm_blocks.PlainBlock, Tensor, Tensor | None, Layout, Mapping[str, Tensor], int],
    Float[Tensor, "B rest D"],
]


def step(
    block: timm_blocks.PlainBlock,
    tokens: Float[Tensor, "B S D"],
    rope: Tensor | None,
    layout: Layout,
    masks: Mapping[str, Bool[Tensor, "B Q N"]],
    first: int,
) -> Float[Tensor, "B rest D"]:
    """Run one block over the tokens of all groups; return those from index ``first`` on."""
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


class Backbone(nn.Module):
    """The shared trunk.

    Attributes:
        vit: The timm model, without classifier.
        name: timm's name of it.
        options: timm arguments it was built with, and those of ``PlainOptions``.
        variation: What differs from timm's model.
        spec: What tasks may know about it.
        checkpointing: Whether blocks are recomputed in the backward pass to save memory.
        precision: Type that the blocks multiply in, such as ``torch.bfloat16``; None for that of the weights.
            Query sources and heads stay in the type of the weights.
        block_step: How a block is run; a trainer may put a compiled ``step`` here.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, vit: nn.Module, name: str, canvas: tuple[int, int], options: Mapping[str, Option] | None = None
    ) -> None:
        """Wrap a timm ViT.

        Args:
            vit: A plain pre-norm ViT of timm, built with ``dynamic_img_size=True``, varied as options say.
            name: Its name.
            options: Arguments it was built with, kept for checkpoints.
            canvas: Rows H and columns W that the model is built for; other sizes work too.

        Raises:
            ConfigError: the model is not a plain ViT, or the patch size does not divide the canvas.
        """
        super().__init__()
        self.vit = timm_blocks.check_plain(vit, name)
        timm_blocks.drop_unused(self.vit)
        self.name = name
        self.options = dict(options or {})
        self.variation = validate(PlainOptions, split_options(self.options)[0], f"backbone {name}: options")
        rows, columns = self.vit.patch_embed.patch_size
        heads = self.vit.blocks[0].attn.num_heads
        self.spec = BackboneSpec(self.vit.embed_dim, len(self.vit.blocks), (rows, columns), canvas, heads)
        self.checkpointing = False
        self.precision: torch.dtype | None = None
        self.block_step: BlockStep = step
        check_divides(canvas, self.spec.patch, "canvas")
        normalisation = self.vit.pretrained_cfg
        self.register_buffer(
            "mean", 255 * torch.tensor(normalisation["mean"]).view(3, 1, 1), persistent=False
        )
        self.register_buffer("std", 255 * torch.tensor(normalisation["std"]).view(3, 1, 1), persistent=False)

    @property
    def prefix(self) -> int:
        """Number of class and register tokens R."""
        return int(self.vit.num_prefix_tokens)

    def normalise(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Subtract the mean and divide by the deviation that the weights were trained with."""
        return (images.to(self.mean.dtype) - self.mean) / self.std

    def forward(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        groups: Sequence[TokenGroup] = (),
        maskers: dict[str, QueryMasker] | None = None,
        patches: bool = True,
        proposals: bool = True,
    ) -> Features:
        """Run the trunk once, with every group's queries beside the context from its entry block on.

        Args:
            images: RGB, 0 to 255; sides must be multiples of the patch.
            groups: Token groups; each joins before its block ``enter``.
            maskers: Heads that supply attention masks, by group name; used in training only.
            patches: Whether anybody reads the context at the output; else the last block leaves it out, and
                ``patches`` and ``prefix`` of the output are empty.
            proposals: Whether anybody reads what is proposed at patches that become no query; else sources
                may leave it out.

        Returns:
            Features at the output and, in training, at every depth that a group asks for.

        Raises:
            ShapeError: the patch size does not divide the image.
        """
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        check_divides(canvas, self.spec.patch, "image", ShapeError)
        grid = (canvas[0] // self.spec.patch[0], canvas[1] // self.spec.patch[1])
        with self.autocast():
            embedded = timm_blocks.embed(self.vit, self.normalise(images), self.variation.positions_antialias)
        tokens, layout = embedded.tokens, Layout(self.prefix, embedded.tokens.shape[1])
        wanted = {layer for group in groups for layer in group.layers} if self.training else set()
        layers: dict[int, LayerFeatures] = {}
        picks: dict[str, Pick] = {}
        between = [None, *self.variation.tables_between(self.vit, grid)]
        for i, block in enumerate(self.vit.blocks):
            tokens = _add_positions(tokens, layout, between[i], groups, i)
            entering = [group for group in groups if group.enter == i]
            tokens, layout = self._enter(tokens, layout, entering, grid, picks, proposals)
            masked = [g for g in groups if g.masked and g.enter <= i] if self.training and maskers else []
            if i in wanted or masked:
                layers[i] = self._read(tokens, layout, grid)
            masks = _ask_masks(i, layers[i], masked, maskers or {}) if masked else {}
            rope = None if embedded.rope is None else embedded.rope[i]
            with self.autocast():
                ends = not patches and i + 1 == self.spec.depth
                tokens = self._block(block, tokens, rope, layout, masks, layout.context if ends else 0)
        if not patches:
            layout, grid = layout.without_context(), (0, 0)
        layers[self.spec.depth] = self._read(tokens, layout, grid)
        return Features(layers, self.spec.depth, picks, canvas)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which products are made in ``precision``."""
        kind = self.mean.device.type
        return nullcontext() if self.precision is None else torch.autocast(kind, self.precision)

    def _enter(
        self,
        tokens: Tensor,
        layout: Layout,
        groups: list[TokenGroup],
        grid: tuple[int, int],
        picks: dict[str, Pick],
        proposals: bool,
    ) -> tuple[Tensor, Layout]:
        if not groups:
            return tokens, layout
        patches, prefix = tokens[:, layout.prefix : layout.context], tokens[:, : layout.prefix]
        context = Context(patches, prefix, grid, proposals)
        for group in groups:
            entry = group.source(context)
            if entry.pick is not None:
                picks[group.name] = entry.pick
            layout, start = layout.enter(group.name, entry.content.shape[1], group.visibility)
            tokens = torch.cat([tokens[:, :start], entry.content.to(tokens.dtype), tokens[:, start:]], 1)
        return tokens, layout

    def _block(
        self,
        block: timm_blocks.PlainBlock,
        tokens: Float[Tensor, "B S D"],
        rope: Tensor | None,
        layout: Layout,
        masks: dict[str, Bool[Tensor, "B Q N"]],
        first: int,
    ) -> Float[Tensor, "B rest D"]:
        if self.checkpointing and self.training:
            return checkpoint(self.block_step, block, tokens, rope, layout, masks, first, use_reentrant=False)
        return self.block_step(block, tokens, rope, layout, masks, first)

    def _read(self, tokens: Float[Tensor, "B S D"], layout: Layout, grid: tuple[int, int]) -> LayerFeatures:
        normed = self.vit.norm(tokens.to(self.mean.dtype))
        patches = normed[:, layout.prefix : layout.context].transpose(1, 2).unflatten(2, grid)
        queries = {span.name: normed[:, span.start : span.stop] for span in layout.spans}
        return LayerFeatures(patches, normed[:, : layout.prefix], queries)


def _add_positions(
    tokens: Float[Tensor, "B S D"],
    layout: Layout,
    table: Float[Tensor, "1 N D"] | None,
    groups: Sequence[TokenGroup],
    layer: int,
) -> Float[Tensor, "B S D"]:
    """Add the positions that the context and the groups in the sequence have before a block."""
    offsets = {group.name: group.source.positions(layer - group.enter) for group in groups}
    own = [offsets[span.name] for span in layout.spans]
    if table is None and all(offset is None for offset in own):
        return tokens
    width = tokens.shape[2]
    parts = [tokens.new_zeros(layout.context, width) if table is None else table[0]]
    for span, offset in zip(layout.spans, own, strict=True):
        parts.append(tokens.new_zeros(span.stop - span.start, width) if offset is None else offset)
    return tokens + torch.cat(parts)


def _ask_masks(
    layer: int, features: LayerFeatures, groups: list[TokenGroup], maskers: dict[str, QueryMasker]
) -> dict[str, Tensor]:
    asked = {
        g.name: maskers[g.name].query_mask(layer, features.queries[g.name], features.patches) for g in groups
    }
    return {name: mask for name, mask in asked.items() if mask is not None}
