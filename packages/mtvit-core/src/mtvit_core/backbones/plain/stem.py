"""The convolutional stem of ResNet and HRNet: a map of a quarter of the image, which patches are cut from.

    conv 3 x 3 / 2 -> 64 -> conv 3 x 3 / 2 -> 64 -> 4 bottlenecks (1 x 1 -> 64, 3 x 3, 1 x 1 -> 256)

Batch norm after every convolution, ReLU after it. Names of the weights are HRNet's (Sun et al. 2019).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

#: Pixels per point of the map, and its channels.
STRIDE, WIDTH = 4, 256
_INNER, _BLOCKS = 64, 4


class Bottleneck(nn.Module):
    """ResNet's bottleneck (He et al. 2016), stride 1; a shortcut of its own where the width changes."""

    def __init__(self, inputs: int) -> None:
        """Draw the weights.

        Args:
            inputs: Channels of the input; the output has ``WIDTH``.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, _INNER, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_INNER)
        self.conv2 = nn.Conv2d(_INNER, _INNER, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_INNER)
        self.conv3 = nn.Conv2d(_INNER, WIDTH, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(WIDTH)
        self.downsample: nn.Module = nn.Identity()
        if inputs != WIDTH:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH))

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D2 h w"]:
        """Transform a map."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class BottleneckStem(nn.Module):
    """Two convolutions of stride 2 and ResNet's first stage."""

    def __init__(self) -> None:
        """Draw the weights; convolutions from N(0, 0.001), as TokenPose does."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, _INNER, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_INNER)
        self.conv2 = nn.Conv2d(_INNER, _INNER, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_INNER)
        self.layer1 = nn.Sequential(*(Bottleneck(WIDTH if i else _INNER) for i in range(_BLOCKS)))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.001)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """Turn normalised images into a map of a quarter of their size."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.layer1(x)  # type: ignore[no-any-return]  # modules are untyped callables
