"""What a backbone learns from images alone: base of the methods, and the batches they are given."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mtvit_core.backbones.features import LayerFeatures
from mtvit_core.backbones.interface import Backbone
from mtvit_core.tasks.task import View

NO_LESSONS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Crops:
    """Crops of images.

    Attributes:
        large: G crops of each image, in the size of the canvas.
        small: L smaller crops of each.
    """

    large: UInt8[Tensor, "B G 3 H W"]
    small: UInt8[Tensor, "B L 3 H2 W2"]

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.large.shape[0])

    def part(self, start: int, stop: int) -> "Crops":
        """Return the images from ``start`` to before ``stop``."""
        return Crops(self.large[start:stop], self.small[start:stop])


class Pretext(nn.Module, ABC):
    """A backbone that learns, and light heads that are thrown away afterwards.

    Attributes:
        name: Prefix of its losses in the records.
        remedy: What to change where features collapse.
        backbone: The backbone.
    """

    name: ClassVar[str]
    remedy: ClassVar[str] = "lower train.lr"
    views: tuple[View, ...] = ("image",)

    def __init__(self, backbone: Backbone) -> None:
        """Keep the backbone."""
        super().__init__()
        self.backbone = backbone

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.mean.device

    @abstractmethod
    def terms(self, crops: Crops, lessons: Mapping[str, Any]) -> dict[str, Float[Tensor, ""]]:
        """Return the loss terms of a batch, whose sum is minimised.

        Args:
            crops: On the device of the model.
            lessons: What a teacher says about the same crops, where the method has one.
        """

    def losses(
        self, batch: Crops, view: View = "image", lessons: Mapping[str, Any] = NO_LESSONS
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the loss terms of a batch, keyed ``method/term``."""
        here = Crops(batch.large.to(self.device), batch.small.to(self.device))
        return {f"{self.name}/{term}": value for term, value in self.terms(here, lessons).items()}

    def progress(self, fraction: float) -> None:
        """Note how far training is, from 0 to 1."""


def summary(layer: LayerFeatures) -> Float[Tensor, "B D"]:
    """Return what stands for a whole image: the class token, or the mean of the patches without one."""
    return layer.prefix[:, 0] if layer.prefix.shape[1] else layer.patches.mean((2, 3))
