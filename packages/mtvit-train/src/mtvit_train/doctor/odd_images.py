"""Images that can be read, but that may look otherwise than whoever annotated them saw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from mtvit_train.doctor.finding import Finding, listing

#: An image of 16 bits that uses less than this share of them keeps under 16 grey levels of 256.
LEAST_RANGE = 1 / 16


@dataclass(frozen=True)
class Raw:
    """What an image file says beside its pixels of 8 bits.

    Attributes:
        turned: Whether EXIF says that it is to be turned or mirrored.
        used: Share of its 16 bits between its darkest and brightest grey value; 1 where it has 8.
    """

    turned: bool
    used: float


def look_inside(path: Path) -> Raw:
    """Read the EXIF orientation of an image that can be read, and how much of its 16 bits it uses."""
    with Image.open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
        if not image.mode.startswith("I"):
            return Raw(turned, 1.0)
        grey = np.asarray(image)
        return Raw(turned, (int(grey.max()) - int(grey.min())) / 65535)


def odd_images(names: Sequence[str], raws: Sequence[Raw], split: str) -> list[Finding]:
    """Find images with an EXIF orientation, and those of 16 bits that use next to nothing of them.

    Args:
        names: Of the images.
        raws: What their files say.
        split: Which split.
    """
    turned = [name for name, raw in zip(names, raws, strict=True) if raw.turned]
    dull = [name for name, raw in zip(names, raws, strict=True) if raw.used < LEAST_RANGE]
    messages = []
    if turned:
        messages.append(
            f"images with an EXIF orientation, which are turned upright: {len(turned)} ({listing(turned)}); "
            "annotations must be of the upright image."
        )
    if dull:
        messages.append(
            f"images that use less than 1/{round(1 / LEAST_RANGE)} of their 16 bits, of which 8 are kept: "
            f"{len(dull)} ({listing(dull)}); stretch their grey values, all by the same rule."
        )
    return [Finding("doubt", "images", split, message) for message in messages]
