"""A light form of the decoder of DPT (Ranftl et al. 2021, Sec. 3.2): several depths, brought to a finer grid.

    m_0 = sum_i P_i x_i                   patches x_i of depth i, a linear layer P_i each
    m_j = gelu(U_j m_j-1)                 U_j doubles the map, until its cells are at most 4 pixels wide
    z = m_n + R gelu(m_n)                 R a convolution of 3 x 3

DPT fuses on a pyramid of four sizes. The patches of a plain ViT have one size at all depths, so they are
summed before they are made finer, which leaves one map to convolve.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.heads.pixel_decoder import DecoderRequest
from mtvit_core.heads.upsample import Upsample2x

#: Cells of the fused map are at most so many pixels wide: a quarter of the canvas, as in DPT and InvPT.
CELL = 4


@dataclass(frozen=True)
class FuseRequest(DecoderRequest):
    """What a fusing decoder depends on.

    Attributes:
        channels: Channels of its map.
        count: Number of depths that it reads, the output among them.
    """

    channels: int
    count: int

    @property
    def name(self) -> str:
        """Its name in the model."""
        return f"fuse_{self.channels}_{self.count}"

    def depths(self, backbone: BackboneSpec) -> Sequence[int]:
        """Return the depths below the output, evenly spread over the blocks."""
        count = min(self.count, backbone.depth)
        return sorted({round(backbone.depth * i / count) for i in range(1, count)})

    def build(self, backbone: BackboneSpec) -> "Fuse":
        """Return the decoder, fresh."""
        return Fuse(backbone, self.depths(backbone), self.channels)


class Fuse(nn.Module):
    """Makes one fine map of the patches of several depths."""

    def __init__(self, backbone: BackboneSpec, depths: Sequence[int], channels: int) -> None:
        """Draw the weights.

        Args:
            backbone: Width, depth and patch.
            depths: Depths below the output, rising.
            channels: Channels D of the map.
        """
        super().__init__()
        self.depths = tuple(depths)
        self.project = nn.ModuleList(
            nn.Conv2d(backbone.width, channels, 1) for _ in (*depths, backbone.depth)
        )
        steps = doublings(max(backbone.patch))
        self.finer = nn.ModuleList(Upsample2x(channels, channels) for _ in range(steps))
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Features) -> Float[Tensor, "B D h w"]:
        """Return the map, at a quarter of the canvas or finer."""
        seen = [*(features.inner[depth] for depth in self.depths), features.last.patches]
        m: Tensor = sum(project(x) for project, x in zip(self.project, seen, strict=True))
        for finer in self.finer:
            m = F.gelu(finer(m))
        return m + self.refine(F.gelu(m))  # type: ignore[no-any-return]  # modules are untyped callables


def doublings(patch: int) -> int:
    """Return how often a map of patches is doubled until its cells are at most ``CELL`` pixels wide."""
    return max(0, -(-patch // CELL) - 1).bit_length()
