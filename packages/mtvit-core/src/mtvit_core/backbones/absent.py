"""The place of a block that a smaller network leaves out; depths are counted with it."""

from jaxtyping import Float
from torch import Tensor, nn


class AbsentBlock(nn.Module):
    """No block: tokens pass its place as they are."""

    def forward(self, tokens: Float[Tensor, "B S D"], first: int) -> Float[Tensor, "B rest D"]:
        """Return the tokens from index ``first`` on."""
        return tokens[:, first:].clone()  # what shares weights out takes no views
