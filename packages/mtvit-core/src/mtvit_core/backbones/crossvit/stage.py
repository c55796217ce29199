"""One block of the branch that is read; where a stage ends, the other's blocks and the exchange too."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtvit_core.backbones.attention import Layout
from mtvit_core.backbones.crossvit.bare import BareBlock
from mtvit_core.backbones.plain.vit import step


class TwoBranchBlock(nn.Module):
    """A block that queries join, and what happens beside it.

    Attributes:
        own: Block of the branch that is read.
        others: Blocks of the other branch, at the end of a stage.
        exchange: From the context of both to that of both; None where there is none.
    """

    def __init__(self, own: nn.Module, others: Sequence[nn.Module], exchange: nn.Module | None) -> None:
        """Keep the parts."""
        super().__init__()
        self.own, self.others, self.exchange = own, nn.ModuleList(others), exchange

    @property
    def ends_stage(self) -> bool:
        """Whether the other branch takes part."""
        return len(self.others) > 0

    def forward(
        self,
        tokens: Float[Tensor, "B S D"],
        other: Float[Tensor, "B S2 D2"] | None,
        layout: Layout,
        masks: Mapping[str, Bool[Tensor, "B Q N"]],
        first: int,
    ) -> tuple[Float[Tensor, "B rest D"], Float[Tensor, "B S2 D2"] | None]:
        """Return the tokens of both branches, those that are read from index ``first`` on.

        The exchange is between the contexts: queries read it where they stand. Nothing of it is left to do
        where the context is not wanted.

        Args:
            tokens: Context and queries of the branch that is read.
            other: Context of the other branch; None where no stage ends here.
            layout: Where each group stands.
            masks: Patches that queries may see, by group.
            first: Index of the first token that is wanted.

        Returns:
            The tokens, and the other branch's; None where these stay as they are.
        """
        if isinstance(self.own, BareBlock):
            tokens = self.own.run(tokens, layout, masks, first)
        else:
            tokens = step(self.own, tokens, None, layout, masks, first)
        if first or other is None:
            return tokens, None
        for block in self.others:
            other = block(other)
        if self.exchange is not None:
            context, other = self.exchange(tokens[:, : layout.context], other)
            tokens = torch.cat([context, tokens[:, layout.context :]], 1)
        return tokens, other
