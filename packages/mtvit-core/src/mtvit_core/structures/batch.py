"""A batch: images of one size, what is annotated on them, and how to get back to the original pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, UInt8
from torch import Tensor

from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.framing import ImageMeta


@dataclass(frozen=True)
class Batch:
    """What one step of training or evaluation is given.

    Attributes:
        images: Canvases, RGB, 0 to 255.
        annotations: One entry per image; empty at prediction time.
        meta: One entry per image.
        known: Context tokens at the input of blocks, by block, where they were computed before; of the images
            only the size then counts.
    """

    images: UInt8[Tensor, "B 3 H W"]
    annotations: tuple[Annotations, ...]
    meta: tuple[ImageMeta, ...]
    known: Mapping[int, Float[Tensor, "B S D"]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self.images.shape[0])

    def part(self, start: int, stop: int) -> "Batch":
        """Return the images from ``start`` to before ``stop``."""
        known = {depth: tokens[start:stop] for depth, tokens in self.known.items()}
        return Batch(self.images[start:stop], self.annotations[start:stop], self.meta[start:stop], known)
