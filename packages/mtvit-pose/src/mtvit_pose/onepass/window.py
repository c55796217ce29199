"""Window heatmaps: each regressed keypoint looks at the features around it and corrects itself.

    window   p = c_k + r s g,  g on a grid in [-1, 1]^2,  s the person's size,  c_k the regressed keypoint
    score    e_k . f(p) / sqrt(D) - |g|^2 / (2 sigma^2)
    refined  the mean of p under softmax(score)

The score compares the keypoint's embedding with the map; its second term is a Gaussian prior around c_k.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.heads.roi import at_places
from mtvit_core.heads.upsample import Upsample2x

PRIOR_SIGMA = 0.5


class Upscale(nn.Module):
    """Patch tokens to a map of four times their resolution, by two transposed convolutions."""

    def __init__(self, width: int, channels: int) -> None:
        """Draw the layers.

        Args:
            width: Token width D.
            channels: Channels of the map.
        """
        super().__init__()
        self.first = Upsample2x(width, 2 * channels)
        self.second = Upsample2x(2 * channels, channels)

    def forward(self, patches: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D2 h2 w2"]:
        """Return the map."""
        return self.second(F.gelu(self.first(patches)))  # type: ignore[no-any-return]  # modules are untyped


@dataclass(frozen=True)
class Windows:
    """Heatmaps around keypoints.

    Attributes:
        logits: Score of every point of the window.
        places: x, y of every point of the window, relative to the canvas.
        spacing: Distance of neighbouring points, relative to the canvas, in x and y.
    """

    logits: Float[Tensor, "rows Q K P"]
    places: Float[Tensor, "rows Q K P 2"]
    spacing: Float[Tensor, "rows Q 1 2"]

    @property
    def points(self) -> Float[Tensor, "rows Q K 2"]:
        """Refined keypoints: the mean place under the heatmap."""
        return (self.logits.softmax(-1)[..., None] * self.places).sum(-2)

    def loss(self, truth: Float[Tensor, "rows Q K 2"]) -> Float[Tensor, "rows Q K"]:
        """Cross-entropy to a Gaussian of one spacing around the truth; 0 where that is outside the window."""
        offset = (self.places - truth[..., None, :]) / self.spacing[..., None, :]
        target = (-offset.square().sum(-1) / 2).softmax(-1)
        low, high = self.places[..., 0, :], self.places[..., -1, :]
        inside = ((truth >= low) & (truth <= high)).all(-1)
        return -(target * self.logits.log_softmax(-1)).sum(-1) * inside


def windows(
    embeddings: Float[Tensor, "rows Q K D"],
    features: Float[Tensor, "B D h w"],
    image: Int64[Tensor, " rows"],
    points: Float[Tensor, "rows Q K 2"],
    sizes: Float[Tensor, "rows Q 2"],
    count: int,
    reach: float,
) -> Windows:
    """Score a window around every point.

    Args:
        embeddings: What each keypoint looks for.
        features: Where it looks.
        image: The map of ``features`` that each row looks at.
        points: Centres of the windows, relative to the canvas; no gradient flows into them.
        sizes: A person's size in x and y, relative to the canvas.
        count: Points along one side of a window.
        reach: Half the side of a window, in units of the person's size.
    """
    axis = torch.linspace(-1, 1, count, device=points.device, dtype=points.dtype)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    span = reach * sizes.detach()[:, :, None, None]
    places = points.detach()[..., None, :] + span * grid
    read = at_places(features.permute(0, 2, 3, 1), places.flatten(1, 2), image)
    read = read.view(*places.shape[:-1], features.shape[1])
    score = (read @ embeddings[..., None])[..., 0] / math.sqrt(embeddings.shape[-1])
    prior = grid.square().sum(-1) / (2 * PRIOR_SIGMA**2)
    return Windows(score - prior, places, span[:, :, 0] * 2 / (count - 1))
