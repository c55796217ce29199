"""The place of a block that a smaller network leaves out; depths are counted with it."""

from torch import Tensor, nn


class Absent(nn.Module):
    """No block: tokens stay as they are."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens."""
        return tokens
