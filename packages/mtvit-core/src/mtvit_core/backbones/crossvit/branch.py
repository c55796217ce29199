"""How one branch sees an image: patches, positions and a class token.

linear  one convolution of the patch's size and stride
convs   7 x 7 / 4 -> C / 4, 3 x 3 -> C / 2, 3 x 3 -> C, ReLU between (Chen et al. 2021, Sec. 4.1)
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mtvit_core.backbones.crossvit.options import STRIDES
from mtvit_core.backbones.plain.positions import resize_tables


class BranchEmbedding(nn.Module):
    """From an image to the tokens of one branch.

    Attributes:
        patch: Side of a patch in pixels.
        scale: Side of the image that it is given over the side of the canvas.
    """

    def __init__(
        self,
        patch: int,
        width: int,
        stem: Literal["linear", "convs"],
        canvas: tuple[int, int],
        scale: float = 1.0,
    ) -> None:
        """Draw the weights.

        Args:
            patch: Side of a patch in pixels.
            width: Token width.
            stem: What patches are made by.
            canvas: Rows and columns of the images that it is built for.
            scale: Side of the image that it is given over that of the canvas.
        """
        super().__init__()
        self.patch, self.scale = patch, scale
        self.grid = self.grid_of(canvas)
        self.stem: nn.Module = nn.Conv2d(3, width, patch, patch)
        if stem == "convs":
            second, third = STRIDES[patch]
            self.stem = nn.Sequential(
                nn.Conv2d(3, width // 4, 7, 4, padding=3),
                nn.ReLU(inplace=True),
                nn.Conv2d(width // 4, width // 2, 3, second, padding=0 if second == 3 else 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(width // 2, width, 3, third, padding=1),
            )
        count = 1 + self.grid[0] * self.grid[1]
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, width), std=0.02))

    def grid_of(self, canvas: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of patches on a canvas."""
        rows, columns = (max(1, round(side * self.scale / self.patch)) for side in canvas)
        return rows, columns

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B S D"]:
        """Return class token and patches of normalised images, with their positions."""
        rows, columns = self.grid_of((images.shape[2], images.shape[3]))
        size = (rows * self.patch, columns * self.patch)
        if size != tuple(images.shape[2:]):
            images = F.interpolate(images, size=size, mode="bicubic", align_corners=False)
        patches = self.stem(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1).to(patches.dtype), patches], 1)
        return tokens + resize_tables(self.positions, self.grid, (rows, columns), 1, antialias=True)
