"""One pass of images through the blocks of a backbone, which token groups join on the way.

    x_0 = embed(image)
    x_i+1 = block_i([x_i, groups entering at i])
    features_i = norm(x_i)

The final norm of the backbone applies at every depth that is read. Where the context is known before a pass,
blocks run on the queries alone, see ``known_context``. Where the trunk is narrower than the tokens that tasks
know, as in a network that was cut out of a supernet, what enters is cut to its leading channels, and what is
read, by sources too, is filled up with zeros.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.features import Features, LayerFeatures
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.known_context import KnownContext
from mtvit_core.backbones.request import Request
from mtvit_core.backbones.tokens import Context, Pick, QueryMasker, TokenGroup

#: Runs one block: its index, tokens B S D of context and groups, where each group is (``attend`` follows
#: it), masks B Q N by group, and the index of the first token that is wanted; returns those from there on.
RunBlock = Callable[[int, Tensor, Layout, Mapping[str, Tensor], int], Float[Tensor, "B rest D"]]


def through_blocks(
    backbone: Backbone,
    context: Float[Tensor, "B S D"] | KnownContext,
    grid: tuple[int, int],
    request: Request,
    run: RunBlock,
    norm: Callable[[Tensor], Tensor],
    tables: Sequence[Float[Tensor, "1 S D"] | None] = (),
) -> Features:
    """Run the blocks in order, let groups enter, and read what is asked for.

    Args:
        backbone: Whose mode, depth, patch and precision hold.
        context: Prefix and patch tokens at the input of block 0; patches are the last ones, row-major. Or
            those of several blocks, where they are known; nothing is run below the first of them.
        grid: Rows h and columns w of patches.
        request: What is asked for.
        run: Runs a block; it is called in the backbone's precision.
        norm: The final norm.
        tables: What is added to the context before each block; none by default.
    """
    training, depth, dtype = backbone.training, backbone.spec.depth, backbone.mean.dtype
    known = {0: context} if isinstance(context, Tensor) else {i: x.to(dtype) for i, x in context.items()}
    state, last = _Tokens.at(known[min(known)], grid, backbone.spec.width), max(known)
    wanted = {layer for group in request.groups for layer in group.layers} if training else set()
    layers: dict[int, LayerFeatures] = {}
    inner: dict[int, Tensor] = {}
    for i in range(depth):
        if i < last and i not in known:
            continue
        state.know(known.get(i))
        if i in request.depths:
            inner[i] = state.read_patches(norm, dtype)
        state.add_positions(tables[i] if tables else None, request.groups, i)
        state.enter([group for group in request.groups if group.enter == i], request.proposals)
        masked = [g for g in request.groups if g.masked and g.enter <= i] if training else []
        masked = masked if request.maskers else []
        if i in wanted or masked:
            layers[i] = state.read(norm, dtype)
        masks = _ask_masks(i, layers[i], masked, request.maskers) if masked else {}
        if i < last and not state.layout.spans:
            continue
        unread = not request.patches and i + 1 == depth
        with backbone.autocast():
            first = state.layout.context if unread or i + 1 in known else 0
            state.tokens = run(i, state.tokens, state.layout, masks, first)
    state.know(known.get(depth))
    if not request.patches:
        state.layout, state.grid = state.layout.without_context(), (0, 0)
    layers[depth] = state.read(norm, dtype)
    canvas = (grid[0] * backbone.spec.patch[0], grid[1] * backbone.spec.patch[1])
    prefix = layers[depth].prefix
    single = (prefix[:, 0],) if backbone.spec.class_tokens and request.patches else ()
    return Features(layers, depth, state.picks, canvas, single, inner)


def known_context(
    context: Float[Tensor, "B S D"],
    grid: tuple[int, int],
    depths: Sequence[int],
    run: RunBlock,
    tables: Sequence[Float[Tensor, "1 S D"] | None] = (),
    first: int = 0,
) -> dict[int, Tensor]:
    """Run blocks on the context alone, and return it at the input of some of them.

    Args:
        context: As for ``through_blocks``.
        grid: The same.
        depths: Blocks at whose input it is wanted, in any order.
        run: As for ``through_blocks``.
        tables: The same.
        first: Block at whose input the context given is.
    """
    layout = _Tokens.at(context, grid, context.shape[2]).layout
    found: dict[int, Tensor] = {}
    for i in range(first, max(depths) + 1):
        if i in depths:
            found[i] = context
        if i < max(depths):
            table = tables[i] if tables else None
            context = run(i, context if table is None else context + table, layout, {}, 0)
    return found


class _Tokens:
    """The tokens of a pass, and where each group is among them; tasks know them ``width`` wide."""

    def __init__(
        self, context: Float[Tensor, "B S D"], layout: Layout, grid: tuple[int, int], width: int
    ) -> None:
        self.tokens, self.layout, self.grid, self.width = context, layout, grid, width
        self.picks: dict[str, Pick] = {}

    @classmethod
    def at(cls, context: Float[Tensor, "B S D"], grid: tuple[int, int], width: int) -> "_Tokens":
        """The context alone."""
        return cls(context, Layout(context.shape[1] - grid[0] * grid[1], context.shape[1]), grid, width)

    def cut(self, tokens: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D2"]:
        """Tokens that enter, as wide as the trunk."""
        return tokens[..., : self.tokens.shape[2]]

    def filled(self, tokens: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D2"]:
        """Tokens that are read, as wide as tasks know them."""
        missing = self.width - tokens.shape[-1]
        return functional.pad(tokens, (0, missing)) if missing else tokens

    def know(self, context: Float[Tensor, "B S D"] | None) -> None:
        """Put a known context in front of the queries, which are all that the block before has run on."""
        if context is not None:
            queries = self.tokens[:, self.tokens.shape[1] - (self.layout.stop - self.layout.context) :]
            self.tokens = torch.cat([context, queries], 1) if self.layout.spans else context

    def enter(self, groups: Sequence[TokenGroup], proposals: bool) -> None:
        """Let groups join."""
        if not groups:
            return
        layout = self.layout
        seen = self.filled(self.tokens[:, : layout.context])
        patches, prefix = seen[:, layout.prefix :], seen[:, : layout.prefix]
        context = Context(patches, prefix, self.grid, proposals)
        for group in groups:
            entry = group.source(context)
            if entry.pick is not None:
                self.picks[group.name] = entry.pick
            self.layout, start = self.layout.enter(group.name, entry.content.shape[1], group.visibility)
            content = self.cut(entry.content).to(self.tokens.dtype)
            self.tokens = torch.cat([self.tokens[:, :start], content, self.tokens[:, start:]], 1)

    def add_positions(
        self, table: Float[Tensor, "1 N D"] | None, groups: Sequence[TokenGroup], layer: int
    ) -> None:
        """Add the positions that the context and the groups in the sequence have before a block."""
        layout, tokens = self.layout, self.tokens
        offsets = {group.name: group.source.positions(layer - group.enter) for group in groups}
        own = [offsets[span.name] for span in layout.spans]
        if table is None and all(offset is None for offset in own):
            return
        width = tokens.shape[2]
        parts = [tokens.new_zeros(layout.context, width) if table is None else table[0]]
        for span, offset in zip(layout.spans, own, strict=True):
            nothing = tokens.new_zeros(span.stop - span.start, width)
            parts.append(nothing if offset is None else self.cut(offset))
        self.tokens = tokens + torch.cat(parts)

    def read_patches(self, norm: Callable[[Tensor], Tensor], dtype: torch.dtype) -> Float[Tensor, "B D h w"]:
        """Return the patch tokens after the final norm, in the type of the weights."""
        normed = norm(self.tokens[:, self.layout.prefix : self.layout.context].to(dtype))
        patches = self.filled(normed).transpose(1, 2)
        return patches.unflatten(2, self.grid)  # type: ignore[no-untyped-call, no-any-return]  # as below

    def read(self, norm: Callable[[Tensor], Tensor], dtype: torch.dtype) -> LayerFeatures:
        """Return all tokens after the final norm, in the type of the weights."""
        layout, normed = self.layout, self.filled(norm(self.tokens.to(dtype)))
        patches = normed[:, layout.prefix : layout.context].transpose(1, 2)
        patches = patches.unflatten(2, self.grid)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        queries = {span.name: normed[:, span.start : span.stop] for span in layout.spans}
        return LayerFeatures(patches, normed[:, : layout.prefix], queries)


def _ask_masks(
    layer: int, features: LayerFeatures, groups: Sequence[TokenGroup], maskers: Mapping[str, QueryMasker]
) -> dict[str, Tensor]:
    asked = {
        g.name: maskers[g.name].query_mask(layer, features.queries[g.name], features.patches) for g in groups
    }
    return {name: mask for name, mask in asked.items() if mask is not None}
