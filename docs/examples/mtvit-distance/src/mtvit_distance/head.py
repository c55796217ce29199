"""From patches to depth: d = resize(shuffle(V gelu(U * x)))."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core import Features


@dataclass(frozen=True)
class DistancePredictions:
    """Depth of every pixel of the canvas."""

    depth: Float[Tensor, "B H W"]


class DistanceHead(nn.Module):
    """Looks at 3 x 3 patches, and gives several numbers along each side of a patch."""

    def __init__(self, width: int, channels: int, fine: int) -> None:
        """Draw the weights; the first answer is near 0.5 everywhere."""
        super().__init__()
        self.look = nn.Conv2d(width, channels, 3, padding=1)
        self.read = nn.Conv2d(channels, fine**2, 1)
        nn.init.constant_(self.read.bias, 0.5)  # type: ignore[arg-type]  # there is a bias
        self.fine = fine

    def forward(self, features: Features) -> DistancePredictions:
        """Read the patches of the output."""
        numbers = self.read(F.gelu(self.look(features.last.patches)))
        grid = F.pixel_shuffle(numbers, self.fine)
        depth = F.interpolate(grid, size=features.canvas, mode="bilinear", align_corners=False)
        return DistancePredictions(depth[:, 0])
