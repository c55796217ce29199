"""How an image becomes patches: three convolutions on half of its size, and one that cuts the patches.

    7 x 7 / 2 -> 64, 3 x 3 -> 64, 3 x 3 -> 64, each with batch norm and ReLU; 8 x 8 / 8 -> C

Source: Xie et al. 2023, multi-layer patch embedding.
"""

from torch import nn

#: Channels of the first three convolutions, and place in the stem of the one that cuts patches.
CHANNELS, CUT = 64, 9


def make_stem(width: int) -> nn.Sequential:
    """Return the stem: images B 3 16h 16w to patches B C h w.

    Args:
        width: Token width C.
    """
    layers: list[nn.Module] = []
    for inputs, kernel, stride in ((3, 7, 2), (CHANNELS, 3, 1), (CHANNELS, 3, 1)):
        layers += [
            nn.Conv2d(inputs, CHANNELS, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, width, 8, 8))
