"""ViTPose decoders: from patch tokens to one heatmap per keypoint (Xu et al. 2022, section 3.1).

    classic  2 x [transposed convolution 4 x 4, stride 2 -> batch norm -> ReLU] -> convolution 1 x 1
    simple   ReLU -> bilinear x 4 -> convolution 3 x 3

Names of the weights are those of the official checkpoints' ``keypoint_head``.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.features import Features

#: Channels between the transposed convolutions.
CHANNELS = 256


@dataclass(frozen=True)
class Heatmaps:
    """What a top-down head says about crops.

    Attributes:
        maps: One heatmap per keypoint; about 1 at the keypoint.
        canvas: Rows H and columns W of the crops.
    """

    maps: Float[Tensor, "B K h w"]
    canvas: tuple[int, int]


class ClassicDecoder(nn.Module):
    """Two transposed convolutions: four times the patch grid."""

    def __init__(self, width: int, keypoints: int) -> None:
        """Draw the weights from N(0, 0.001), as ViTPose does.

        Args:
            width: Token width D.
            keypoints: Keypoints K.
        """
        super().__init__()
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(width, CHANNELS, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
        )
        self.final_layer = nn.Conv2d(CHANNELS, keypoints, 1)
        _initialise(self)

    def forward(self, features: Features) -> Heatmaps:
        """Decode the patches of the output."""
        return Heatmaps(self.final_layer(self.deconv_layers(features.last.patches)), features.canvas)


class SimpleDecoder(nn.Module):
    """One convolution on upsampled patches: four times the patch grid."""

    def __init__(self, width: int, keypoints: int) -> None:
        """Draw the weights from N(0, 0.001), as ViTPose does.

        Args:
            width: Token width D.
            keypoints: Keypoints K.
        """
        super().__init__()
        self.final_layer = nn.Conv2d(width, keypoints, 3, padding=1)
        _initialise(self)

    def forward(self, features: Features) -> Heatmaps:
        """Decode the patches of the output."""
        large = F.interpolate(F.relu(features.last.patches), scale_factor=4.0, mode="bilinear")
        return Heatmaps(self.final_layer(large), features.canvas)


@torch.no_grad()
def _initialise(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=0.001)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    # Tokens of a grid lie channel by channel at each point; convolutions are fastest where weights do too.
    module.to(memory_format=torch.channels_last)
