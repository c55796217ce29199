"""A block that is attention alone, as coded by badal091/Master_Thesis: a baseline, not a recommendation.

    q_h, k_h, v_h = W_q x_h, W_k x_h, W_v x_h          x_h the slice of head h; the same W for all heads
    x <- W softmax(q k^T / sqrt(D)) v                  D the token width, not that of a head

Without norm, residual and feed-forward part.
"""

from collections.abc import Mapping

from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout, attend


class BareBlock(nn.Module):
    """Such a block."""

    def __init__(self, width: int, heads: int) -> None:
        """Draw the weights.

        Args:
            width: Token width D, a multiple of the heads.
            heads: Attention heads.
        """
        super().__init__()
        own = width // heads
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(own, own, bias=False) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Return what each token reads of all."""
        return self.run(tokens, Layout(1, tokens.shape[1], ()), {}, 0)

    def run(
        self,
        tokens: Float[Tensor, "B S D"],
        layout: Layout,
        masks: Mapping[str, Bool[Tensor, "B Q N"]],
        first: int,
    ) -> Float[Tensor, "B rest D"]:
        """Return what the tokens from index ``first`` on read, see ``plain.vit.step``."""
        apart: Tensor = tokens.unflatten(2, (self.heads, -1))  # type: ignore[no-untyped-call]  # torch's own
        x = apart.transpose(1, 2)
        q = self.query(x[:, :, first:]) * self.heads**-0.5  # attention divides by sqrt(D / heads) itself
        read = attend(q, self.key(x), self.value(x), layout, masks).transpose(1, 2).flatten(2)
        return self.proj(read)  # type: ignore[no-any-return]  # modules are untyped callables
