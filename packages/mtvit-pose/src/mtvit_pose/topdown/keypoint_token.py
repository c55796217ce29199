"""TokenPose: one token per keypoint, whose output becomes its heatmap (Li et al. 2021, section 3).

    tokens  K learned tokens that see, and are seen by, the patches from block 0 on; no position
    head    LN -> linear D -> h w / 8 -> LN -> linear -> h w; without the middle where D > h w / 16

The weights are named as the official code's ``mlp_head``.
"""

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_pose.topdown.decoder import Heatmaps

#: Crop pixels per heatmap pixel.
STRIDE = 4


class TokenPoseHead(nn.Module):
    """A perceptron, shared by all keypoints, that draws a heatmap from each keypoint token."""

    def __init__(self, width: int, canvas: tuple[int, int]) -> None:
        """Draw the weights (linear: truncated normal 0.02).

        Args:
            width: Token width D.
            canvas: Rows H and columns W of the crops; the heatmap's size is tied to it.
        """
        super().__init__()
        self.shape = canvas[0] // STRIDE, canvas[1] // STRIDE
        pixels = self.shape[0] * self.shape[1]
        hidden = pixels // 8
        layers: list[nn.Module] = [nn.LayerNorm(width), nn.Linear(width, pixels)]
        if width <= hidden / 2:
            layers = [
                nn.LayerNorm(width),
                nn.Linear(width, hidden),
                nn.LayerNorm(hidden),
                nn.Linear(hidden, pixels),
            ]
        self.mlp_head = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Features) -> Heatmaps:
        """Read the keypoint tokens of the output."""
        tokens: Float[Tensor, "B K D"] = features.last.queries["pose"]
        return Heatmaps(self.mlp_head(tokens).reshape(*tokens.shape[:2], *self.shape), features.canvas)
