"""From the decoder's map, or from patches, to the numbers of one task.

fuse      y = V gelu(U * z)           U a convolution of 3 x 3 that halves the channels, V a linear layer
linear    y = shuffle(V x_L)          fine x fine numbers for each patch
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_dense.config import DenseConfig


@dataclass(frozen=True)
class DenseValues:
    """What a dense task says of each cell of a grid over the canvas.

    Attributes:
        values: Numbers of the task: class logits, depth, a vector, an edge's logit.
        canvas: Rows H and columns W of the canvas that the grid covers.
    """

    values: Float[Tensor, "B C h w"]
    canvas: tuple[int, int]

    def on_canvas(self) -> Float[Tensor, "B C H W"]:
        """Return the numbers of each pixel of the canvas (bilinear)."""
        return resized(self.values, self.canvas)


def resized(values: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Return a map at another size (bilinear)."""
    if tuple(values.shape[-2:]) == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)


class DenseHead(nn.Module):
    """Reads ``outputs`` numbers per cell; subclasses say in ``finish`` what they become."""

    def __init__(self, backbone: BackboneSpec, config: DenseConfig, outputs: int) -> None:
        """Draw the weights.

        Args:
            backbone: Width of a patch token.
            config: Which decoder it reads, and its sizes.
            outputs: Numbers per cell.
        """
        super().__init__()
        self.fused = config.decoder == "fuse"
        if self.fused:
            hidden = config.channels // 2
            self.look = nn.Conv2d(config.channels, hidden, 3, padding=1)
            self.read = nn.Conv2d(hidden, outputs, 1)
        else:
            self.read = nn.Conv2d(backbone.width, outputs * config.fine**2, 1)
        self.fine = config.fine

    def forward(self, features: Features) -> DenseValues:
        """Return the numbers of every cell."""
        if self.fused:
            assert features.decoded is not None
            numbers = self.read(F.gelu(self.look(features.decoded)))
        else:
            numbers = F.pixel_shuffle(self.read(features.last.patches), self.fine)
        return DenseValues(self.finish(numbers), features.canvas)

    def finish(self, numbers: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return what the numbers stand for; as they are unless a task says otherwise."""
        return numbers

    @property
    def first_bias(self) -> Float[Tensor, "C copies"]:
        """Biases of the outputs, one row each, to be set before training."""
        assert self.read.bias is not None
        return self.read.bias.detach().view(-1, 1 if self.fused else self.fine**2)
