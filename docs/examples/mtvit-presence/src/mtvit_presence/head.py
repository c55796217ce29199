"""From patches to one logit per category: z = W [mean_n x_n, max_n x_n] + b."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features


@dataclass(frozen=True)
class PresencePredictions:
    """Logits of "the image shows this category"."""

    logits: Float[Tensor, "B C"]


class PresenceHead(nn.Module):
    """A linear layer on the mean and the maximum of the patches."""

    def __init__(self, width: int, classes: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.classify = nn.Linear(2 * width, classes)

    def forward(self, features: Features) -> PresencePredictions:
        """Read the patches of the output."""
        patches = features.last.patches.flatten(2)
        pooled = torch.cat([patches.mean(2), patches.amax(2)], 1)
        return PresencePredictions(self.classify(pooled))
