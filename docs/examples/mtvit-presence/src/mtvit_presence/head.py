"""From patch tokens to one logit per category: z = W gelu(V [mean_n x_n, max_n x_n] + c) + b."""

import torch
from torch import nn

from mtvit_core import Features, ImageLogits


class PresenceHead(nn.Module):
    """Two layers on the mean and the maximum of the patch tokens."""

    def __init__(self, width: int, hidden: int, classes: int) -> None:
        """Create the layers.

        Args:
            width: Channels of a token.
            hidden: Channels of the hidden layer.
            classes: Number of categories.
        """
        super().__init__()
        self.classify = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, classes))

    def forward(self, features: Features) -> ImageLogits:
        """Read the patch tokens of the last block."""
        patches = features.last.patches.flatten(2)
        pooled = torch.cat([patches.mean(2), patches.amax(2)], 1)
        return ImageLogits(self.classify(pooled))
