"""Upscaling of patch features for masks (Kerssies et al. 2025, section 3.1).

The map of patches goes through log2(patch) - 2 blocks, to a stride of 4 pixels for patches of 8 and 16:

    x <- LN(DWConv3x3(GELU(ConvT2x2(x))))
"""

import math

from jaxtyping import Float
from torch import Tensor, nn

from mtvit_core.heads.upsample import Upsample2x


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map."""

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D h w"]:
        """Normalise every pixel."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ScaleBlock(nn.Module):
    """Doubles the rows and columns of a map."""

    def __init__(self, width: int) -> None:
        """Draw the weights.

        Args:
            width: Channels D.
        """
        super().__init__()
        self.conv1 = Upsample2x(width, width)
        self.act = nn.GELU()
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width, bias=False)
        self.norm = LayerNorm2d(width, eps=1e-6)

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D h2 w2"]:
        """Transposed convolution, GELU, depthwise convolution, norm."""
        return self.norm(self.conv2(self.act(self.conv1(x))))  # type: ignore[no-any-return]  # untyped callables


def doublings(patch: tuple[int, int]) -> int:
    """How often a map of patches is doubled: to 4 pixels for patches of 8 and more, at least once."""
    return max(1, int(math.log2(max(patch))) - 2)


def upscale(width: int, patch: tuple[int, int]) -> nn.Sequential:
    """Return the scale blocks for a patch size.

    Args:
        width: Channels D.
        patch: Rows and columns of a patch in pixels.
    """
    return nn.Sequential(*(ScaleBlock(width) for _ in range(doublings(patch))))
