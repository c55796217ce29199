"""What a block does to patches as a map; queries, which have no place on it, pass by.

local      x + DW(x), a 3 x 3 filter of each channel (local perception unit, locality feed-forward part)
gate       sigmoid(W2 ReLU(W1 mean_N(x))), one number a channel (squeeze and excitation, Hu et al. 2018)
aggregate  ReLU(x + BN(conv(ReLU(BN(conv(x)))))), 3 x 3 (Xie et al. 2023, for windows; He et al. 2016)
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.mvt.options import SQUEEZE

Grid = tuple[int, int]


def as_map(tokens: Float[Tensor, "B N C"], grid: Grid) -> Float[Tensor, "B C h w"]:
    """Return patches, row-major, as a map; the memory stays theirs, channels last."""
    return tokens.transpose(1, 2).unflatten(2, grid)  # type: ignore[no-untyped-call, no-any-return]  # torch's own


def as_tokens(maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N C"]:
    """Return a map as patches, row-major."""
    return maps.flatten(2).transpose(1, 2)


class Local(nn.Module):
    """Adds to each patch what a filter of each channel sees around it."""

    def __init__(self, width: int) -> None:
        """Draw the weights.

        Args:
            width: Channels.
        """
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: Float[Tensor, "B N C"], grid: Grid) -> Float[Tensor, "B N C"]:
        """Return the sum."""
        return tokens + as_tokens(self.conv(as_map(tokens, grid)))


class Gate(nn.Module):
    """How much of each channel passes, by its mean over the map."""

    def __init__(self, width: int) -> None:
        """Draw the weights.

        Args:
            width: Channels C.
        """
        super().__init__()
        self.squeeze = nn.Linear(width, width // SQUEEZE)
        self.excite = nn.Linear(width // SQUEEZE, width)

    def forward(self, tokens: Float[Tensor, "B N C"]) -> Float[Tensor, "B 1 C"]:
        """Return the share of each channel, from 0 to 1."""
        mean = tokens.mean(1, keepdim=True)
        return self.excite(F.relu(self.squeeze(mean))).sigmoid()  # type: ignore[no-any-return]  # modules are untyped callables


class Aggregate(nn.Module):
    """Two convolutions beside the map, which see across the borders of windows."""

    def __init__(self, width: int) -> None:
        """Draw the weights.

        Args:
            width: Channels.
        """
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, tokens: Float[Tensor, "B N C"], grid: Grid) -> Float[Tensor, "B N C"]:
        """Return the map after both."""
        maps = as_map(tokens, grid)
        inner = F.relu(self.norm1(self.conv1(maps)))
        return as_tokens(F.relu(maps + self.norm2(self.conv2(inner))))
