"""A block of ViT-MVT (Xie et al. 2023), with queries x_q beside the map x.

    x   <- x + DW(x)
    y    = Proj Attn(LN x),          x   <- x + y gate(y)         (or gate(LN x), or 1)
    t    = FC1(LN x),                x   <- x + FC2 GELU(t + DW(t))
    x   <- aggregate(x), in some blocks
    x_q <- x_q + Proj Attn(LN x_q),  x_q <- x_q + FC2 GELU(FC1(LN x_q))

Queries have no place on the map, so the convolutions pass them by; nor does the gate, whose mean is that of
the map, know them. So nothing but the attention of joint groups lets the map see a query. Map, joint groups
and each isolated group go through the layers by themselves: who else is there changes no bit of them.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.mvt.attention import MapAttention, Place
from mtvit_core.backbones.mvt.maps import Aggregate, Gate, Local
from mtvit_core.backbones.mvt.options import HEAD, MvtOptions

Pair = tuple[Tensor | None, Tensor | None]


class MvtBlock(nn.Module):
    """One block.

    Attributes:
        se: What the gate is told, see ``MvtOptions``.
    """

    def __init__(self, options: MvtOptions, index: int, window: tuple[int, int]) -> None:
        """Draw the weights.

        Args:
            options: Those of the backbone.
            index: Which of its blocks it is.
            window: Rows and columns of patches that the table of relative positions is for.
        """
        super().__init__()
        width, heads, hidden = options.width, options.block_heads[index], options.hidden(index)
        self.se: Literal["attention", "input", "none"] = options.se
        self.look = Local(width)
        self.norm1 = nn.LayerNorm(width, eps=options.norm_eps)
        self.attention = MapAttention(width, heads, window)
        self.proj = nn.Linear(heads * HEAD, width)
        self.gate = None if options.se == "none" else Gate(width)
        self.norm2 = nn.LayerNorm(width, eps=options.norm_eps)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.look_inside = Local(hidden)
        self.aggregate = Aggregate(width) if index in options.aggregate else None
        self.drop = DropPath(options.drop_path_rate)

    def forward(
        self,
        tokens: Float[Tensor, "B S C"],
        layout: Layout,
        masks: Mapping[str, Bool[Tensor, "B Q N"]],
        first: int,
        place: Place,
    ) -> Float[Tensor, "B rest C"]:
        """Return the tokens from index ``first`` on.

        Args:
            tokens: Map and queries.
            layout: Where each group stands.
            masks: Patches that queries may see, by group.
            first: Index of the first token that is wanted.
            place: Where patches stand.
        """
        # A product of rows that others stand between is made in another way, which rounds otherwise.
        parts = torch.split(tokens, [layout.context, *_together(layout)], 1)
        patches, *queries = (part.contiguous() for part in parts)
        patches, wanted = self.look(patches, place.grid), first < layout.context
        normed, *asking = (self.norm1(part) for part in (patches, *queries))
        of_map, *of_queries = self.attention(normed, asking, layout, masks, wanted, place)
        drops = self._draw(tokens), self._draw(tokens)
        found = [self._queries(x, seen, drops) for x, seen in zip(queries, of_queries, strict=True)]
        if wanted:
            found.insert(0, self._map(patches, normed, of_map, drops, place)[:, first:])
        return torch.cat(found, 1)

    def _map(self, x: Tensor, normed: Tensor, attended: Tensor, drops: Pair, place: Place) -> Tensor:
        mixed = _dropped(self.proj(attended), drops[0])
        if self.gate is not None:
            mixed = mixed * self.gate(mixed if self.se == "attention" else normed)
        x = x + mixed
        hidden = self.look_inside(self.fc1(self.norm2(x)), place.grid)
        x = x + _dropped(self.fc2(F.gelu(hidden)), drops[1])
        if self.aggregate is not None:
            x = self.aggregate(x, place.grid)
        return x

    def _queries(self, x: Tensor, attended: Tensor, drops: Pair) -> Tensor:
        x = x + _dropped(self.proj(attended), drops[0])
        return x + _dropped(self.fc2(F.gelu(self.fc1(self.norm2(x)))), drops[1])

    def _draw(self, tokens: Float[Tensor, "B S C"]) -> Float[Tensor, "B 1 1"] | None:
        """By what a branch of each image is multiplied, the same for map and queries; None for nothing."""
        if not (self.training and self.drop.drop_prob):
            return None
        kept: Tensor = self.drop(tokens.new_ones(tokens.shape[0], 1, 1))
        return kept


def _dropped(branch: Float[Tensor, "B S C"], kept: Tensor | None) -> Float[Tensor, "B S C"]:
    return branch if kept is None else branch * kept


def _together(layout: Layout) -> list[int]:
    """How many queries each part holds: joint groups together, isolated groups each by itself."""
    joint = layout.joint_stop - layout.context
    isolated = [span.stop - span.start for span in layout.spans if span.visibility == "isolated"]
    return [joint, *isolated] if joint else isolated
