"""What two branches a and b tell each other; both directions start from the tokens before the exchange.

    class    c' = P_ab(c_a),  y = c' + CA([c' || x_b]),  c_a <- P_ba(y)
             P = Linear(GELU(LN(.))),  CA attends with the first token alone, over LN of all
    patches  z_a <- z_a + Proj softmax(q_a k_b^T / sqrt(d)) v_b,  q of LN(z_a), k and v of LN(z_b)

with class token c, patches x and all tokens z = [c || x] of a branch. Source of class: Chen et al. 2021,
eqs. 3 and 4, with its weights as timm names them. Patches see a class exchange through later blocks only.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from timm.layers import DropPath
from timm.models.crossvit import CrossAttentionBlock
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

EPS = 1e-6
Pair = tuple[Tensor, Tensor]


class ClassExchange(nn.Module):
    """Class tokens read the patches of the other branch."""

    def __init__(self, widths: tuple[int, int], heads: tuple[int, int], drop_path: float) -> None:
        """Draw the weights.

        Args:
            widths: Token widths of both branches.
            heads: Attention heads of both.
            drop_path: Share of images for which nothing is read, in training.
        """
        super().__init__()
        there, back = widths, widths[::-1]
        self.project = nn.ModuleList(_project(a, b) for a, b in zip(there, back, strict=True))
        self.fuse = nn.ModuleList(
            CrossAttentionBlock(
                width, count, qkv_bias=True, drop_path=drop_path, norm_layer=partial(nn.LayerNorm, eps=EPS)
            )
            for width, count in zip(back, heads[::-1], strict=True)
        )
        self.revert = nn.ModuleList(_project(b, a) for a, b in zip(there, back, strict=True))

    def forward(self, first: Float[Tensor, "B S D"], second: Float[Tensor, "B S2 D2"]) -> Pair:
        """Return the tokens of both branches with other class tokens."""
        return self._told(0, first, second), self._told(1, second, first)

    def _told(self, branch: int, own: Tensor, other: Tensor) -> Tensor:
        sent = self.project[branch](own[:, :1])
        read = self.fuse[branch](torch.cat([sent, other[:, 1:]], 1))
        return torch.cat([self.revert[branch](read), own[:, 1:]], 1)


class PatchExchange(nn.Module):
    """All tokens read all tokens of the other branch."""

    def __init__(self, widths: tuple[int, int], heads: tuple[int, int], drop_path: float) -> None:
        """Draw the weights; arguments as those of ``ClassExchange``."""
        super().__init__()
        self.norms = nn.ModuleList(_norm(width) for width in widths)
        self.read = nn.ModuleList(
            CrossRead(own, other, count)
            for own, other, count in zip(widths, widths[::-1], heads, strict=True)
        )
        self.drop = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, first: Float[Tensor, "B S D"], second: Float[Tensor, "B S2 D2"]) -> Pair:
        """Return the tokens of both branches with what they read."""
        a, b = self.norms[0](first), self.norms[1](second)
        return first + self.drop(self.read[0](a, b)), second + self.drop(self.read[1](b, a))


class CrossRead(nn.Module):
    """Attention from the tokens of one branch to those of another."""

    def __init__(self, own: int, other: int, heads: int) -> None:
        """Draw the weights.

        Args:
            own: Token width of the branch that reads.
            other: That of the branch that is read.
            heads: Attention heads.
        """
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(own, own), nn.Linear(other, 2 * own)
        self.proj = nn.Linear(own, own)

    def forward(self, own: Float[Tensor, "B S D"], other: Float[Tensor, "B S2 D2"]) -> Float[Tensor, "B S D"]:
        """Return what each token reads."""
        q, (k, v) = self._by_head(self.query(own)), self._by_heads(self.key_value(other).chunk(2, 2))
        read = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.proj(read)  # type: ignore[no-any-return]  # modules are untyped callables

    def _by_head(self, tokens: Float[Tensor, "B S D"]) -> Float[Tensor, "B A S d"]:
        apart: Tensor = tokens.unflatten(2, (self.heads, -1))  # type: ignore[no-untyped-call]  # torch's own
        return apart.transpose(1, 2)

    def _by_heads(self, parts: Sequence[Tensor]) -> list[Tensor]:
        return [self._by_head(part) for part in parts]


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=EPS)


def _project(width: int, onto: int) -> nn.Sequential:
    return nn.Sequential(_norm(width), nn.GELU(), nn.Linear(width, onto))
