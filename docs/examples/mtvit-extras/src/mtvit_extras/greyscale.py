"""Some training images lose their colour."""

from typing import ClassVar

import numpy as np
from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor

from mtvit_core import Annotations, TaskConfig, Transform


class GreyscaleConfig(TaskConfig):
    """``[transforms.greyscale]``: share of the images that become grey."""

    share: float = Field(0.2, ge=0, le=1)


class Greyscale(Transform[GreyscaleConfig]):
    """Gives every channel the mean of the three."""

    name: ClassVar[str] = "greyscale"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = GreyscaleConfig

    def __call__(
        self, image: UInt8[Tensor, "3 H W"], annotations: Annotations, rng: np.random.Generator
    ) -> tuple[UInt8[Tensor, "3 H W"], Annotations]:
        """Draw, and perhaps change the pixels; the labels stay."""
        if rng.random() >= self.config.share:
            return image, annotations
        grey = image.float().mean(0, keepdim=True).round().to(image.dtype)
        return grey.expand_as(image).contiguous(), annotations
