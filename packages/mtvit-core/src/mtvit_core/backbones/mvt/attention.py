"""Attention of the map, and of the queries beside it.

    map      softmax(q k^T / 8 + b) v within each window; k and v are those of the window and of joint groups
    queries  softmax(q k^T / 8) v over the whole map, and whom their group sees

Relative positions b are those of two patches; to a query, which has no place, nothing is added. What stands
right of and below a map that does not fill its last windows is zero before q, k and v are made of it, as in
ViT-MVT: patches of these windows attend to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.attention import Layout, attend
from mtvit_core.backbones.mvt import relative, windows
from mtvit_core.backbones.mvt.options import HEAD

Grid = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """Where patches stand; the same for all blocks of a pass.

    Attributes:
        grid: Rows and columns of the map.
        window: Rows and columns of a window; those of the map, where it is one window.
        offsets: Row of a table of relative positions for each pair of patches of a window.
    """

    grid: Grid
    window: Grid
    offsets: Int64[Tensor, "n n"]


class MapAttention(nn.Module):
    """Makes queries, keys and values, and lets them attend; what comes out is not projected yet."""

    def __init__(self, width: int, heads: int, window: Grid) -> None:
        """Draw the weights.

        Args:
            width: Token width C.
            heads: Attention heads A.
            window: Rows and columns of the window that the table of relative positions is for.
        """
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * heads * HEAD)
        rows, columns = relative.sides(window)
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(rows * columns, heads), std=0.02))

    def forward(
        self,
        patches: Float[Tensor, "B N C"],
        queries: Sequence[Float[Tensor, "B _ C"]],
        layout: Layout,
        masks: Mapping[str, Bool[Tensor, "B Q N"]],
        wanted: bool,
        place: Place,
    ) -> list[Float[Tensor, "B _ E"]]:
        """Return what the map and each part of the queries attend to, heads joined.

        Args:
            patches: The map.
            queries: Queries in their order, in parts that go through layers by themselves.
            layout: Where each group stands.
            masks: Patches that queries may see, by group.
            wanted: Whether that of the map is wanted; else it is empty.
            place: Where patches stand.
        """
        mapped, parts = self.qkv(patches), [self.qkv(part) for part in queries]
        seen = mapped[:, :0, : self.heads * HEAD]
        asked = torch.cat(parts, 1) if parts else mapped[:, :0]
        if wanted:
            seen = self._within_windows(mapped, asked[:, : layout.joint_stop - layout.context], place)
        if not parts:
            return [seen]
        (_, keys, values), own = self._by_head(mapped), self._by_head(asked)
        keys, values = (torch.cat(pair, 2) for pair in ((keys, own[1]), (values, own[2])))
        read = _joined(attend(own[0], keys, values, layout, masks))
        return [seen, *torch.split(read, [part.shape[1] for part in parts], 1)]

    def _within_windows(
        self, mapped: Float[Tensor, "B N E3"], joint: Float[Tensor, "B J E3"], place: Place
    ) -> Float[Tensor, "B N E"]:
        maps = mapped.unflatten(1, place.grid)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        # What a linear layer makes of zeros is its bias.
        q, k, v = self._by_head(windows.cut(maps, place.window, self.qkv.bias))
        table = relative.resized(self.table, self.window, place.window)
        bias = table[place.offsets].permute(2, 0, 1).to(q.dtype)
        if joint.shape[1]:
            windows_each = windows.count(place.window, place.grid)
            _, joint_k, joint_v = (part.repeat_interleave(windows_each, 0) for part in self._by_head(joint))
            k, v = torch.cat([k, joint_k], 2), torch.cat([v, joint_v], 2)
            bias = F.pad(bias, (0, joint.shape[1]))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return windows.join(_joined(seen), place.window, place.grid)

    def _by_head(self, fused: Float[Tensor, "B S E3"]) -> tuple[Tensor, ...]:
        """Queries, keys and values B A S d."""
        return fused.view(*fused.shape[:2], 3, self.heads, HEAD).permute(2, 0, 3, 1, 4).unbind(0)


def _joined(heads: Float[Tensor, "B A S d"]) -> Float[Tensor, "B S E"]:
    return heads.transpose(1, 2).flatten(2)
