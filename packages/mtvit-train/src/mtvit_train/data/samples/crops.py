"""Crops of images without labels: a pure function of seed, epoch and index, as all samples are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from mtvit_core.structures.image_files import MAX_PIXELS, read_image
from mtvit_train.data.packed import Key
from mtvit_train.data.samples.augment import AugmentConfig
from mtvit_train.data.samples.colour import jitter_colour

# Keeps the stream of random numbers for crops apart from all others.
_CROP_STREAM = 8
#: Least and largest width of a crop relative to its height, in pixels of the image.
_ASPECT = (3 / 4, 4 / 3)
_BLUR = (0.1, 2.0)


@dataclass(frozen=True)
class CropKind:
    """Crops of one size.

    Attributes:
        count: How many of each image.
        size: Rows and columns.
        scale: Least and largest area as a share of the image.
    """

    count: int
    size: tuple[int, int]
    scale: tuple[float, float]


@dataclass(frozen=True)
class Changes:
    """How each crop is changed.

    Attributes:
        hflip: Probability of mirroring.
        colour: Probability of changing the colours.
        colours: How far.
        grey: Probability of leaving out the colours.
        blur: Probability of blurring.
    """

    hflip: float
    colour: float
    colours: AugmentConfig
    grey: float
    blur: float


@dataclass(frozen=True)
class CroppedImage:
    """The crops of one image, one tensor a kind."""

    large: UInt8[Tensor, "G 3 H W"]
    small: UInt8[Tensor, "L 3 H2 W2"]


class UnlabelledImages(Dataset[CroppedImage]):
    """Images of some folders, each shown as crops."""

    def __init__(
        self, paths: Sequence[Path], large: CropKind, small: CropKind, changes: Changes, seed: int
    ) -> None:
        """Keep what defines the samples.

        Args:
            paths: Image files.
            large: The crops in the size of the canvas.
            small: The others.
            changes: How crops are changed.
            seed: Number of the run.
        """
        self.paths, self.large, self.small, self.changes, self.seed = (
            tuple(paths),
            large,
            small,
            changes,
            seed,
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, key: Key) -> CroppedImage:
        """Crop one image.

        Args:
            key: Epoch, and index of the image.

        Raises:
            DataError: it cannot be read.
        """
        rng = np.random.default_rng([_CROP_STREAM, self.seed, *key])
        image = read_image(self.paths[key[1]], MAX_PIXELS)
        return CroppedImage(self._crops(rng, image, self.large), self._crops(rng, image, self.small))

    def _crops(
        self, rng: np.random.Generator, image: UInt8[Tensor, "3 H0 W0"], kind: CropKind
    ) -> UInt8[Tensor, "N 3 H W"]:
        if not kind.count:
            return torch.zeros(0, 3, *kind.size, dtype=torch.uint8)
        return torch.stack([self._changed(rng, crop(rng, image, kind)) for _ in range(kind.count)])

    def _changed(self, rng: np.random.Generator, part: UInt8[Tensor, "3 H W"]) -> UInt8[Tensor, "3 H W"]:
        changes = self.changes
        flip, colour, grey, blur = rng.random(4) < (changes.hflip, changes.colour, changes.grey, changes.blur)
        sigma = float(rng.uniform(*_BLUR))
        jittered = jitter_colour(rng, changes.colours, part)  # draws always the same numbers
        part = jittered if colour else part
        part = F.rgb_to_grayscale(part, 3) if grey else part
        part = F.gaussian_blur(part, [9, 9], [sigma, sigma]) if blur else part
        return part.flip(-1) if flip else part


def crop(rng: np.random.Generator, image: UInt8[Tensor, "3 H0 W0"], kind: CropKind) -> UInt8[Tensor, "3 H W"]:
    """Cut out a random part and resize it (Szegedy et al. 2015), antialiased."""
    rows, columns = image.shape[1:]
    area = rows * columns * rng.uniform(*kind.scale)
    aspect = float(np.exp(rng.uniform(*np.log(_ASPECT)))) * kind.size[1] / kind.size[0]
    height = min(rows, max(1, round((area / aspect) ** 0.5)))
    width = min(columns, max(1, round((area * aspect) ** 0.5)))
    top, left = (int(rng.integers(whole - side + 1)) for whole, side in ((rows, height), (columns, width)))
    bicubic = InterpolationMode.BICUBIC
    resized: Tensor = F.resized_crop(
        image, top, left, height, width, list(kind.size), interpolation=bicubic, antialias=True
    )
    return resized
