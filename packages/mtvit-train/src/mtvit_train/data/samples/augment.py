"""Random changes of training images: mirroring, large scale jitter, colour, mixing and pasting."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mtvit_core.structures.framing import Framing, Letterbox
from mtvit_train.data.samples.placement import Placement

Share = Annotated[float, Field(ge=0, le=1)]


class AugmentConfig(BaseModel):
    """The config table ``[augment]``.

    Attributes:
        enabled: Off: images are letterboxed and nothing else.
        hflip: Probability of mirroring an image. Images that hold a category whose keypoints have no known
            left and right are never mirrored.
        scale: Smallest and largest size relative to the letterboxed image. Below 1 the image leaves more
            padding, above 1 a random window of it is cut out (large scale jitter, Ghiasi et al. 2021, Sec.
            3).
        brightness: Largest change of brightness; the factor is drawn from 1 - x to 1 + x.
        contrast: The same for contrast.
        saturation: The same for saturation.
        hue: Largest shift of hue, as a share of the colour circle, at most 0.5.
        mixup: Alpha of Mixup, for tasks that learn classes of whole images alone; 0: none.
        cutmix: Alpha of CutMix, likewise. Where both are set, each is drawn as often as the other.
        mix_share: Share of the images that are mixed.
        paste: Probability of pasting an object of another image, at a random place; both need masks.
        paste_categories: Names of the categories whose objects are pasted, such as rare ones; empty: all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    hflip: Share = 0.5
    scale: tuple[float, float] = (0.6, 1.4)
    brightness: Share = 0.2
    contrast: Share = 0.2
    saturation: Share = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.03
    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    mix_share: Share = 1.0
    paste: Share = 0.0
    paste_categories: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_scale(self) -> "AugmentConfig":
        low, high = self.scale
        if not 0.05 <= low <= high <= 10:
            raise ValueError(f"scale is {low}, {high}; give a smallest and a largest factor from 0.05 to 10")
        return self


#: Letterbox only.
NO_AUGMENT = AugmentConfig(enabled=False)


def draw_placement(
    rng: np.random.Generator, config: AugmentConfig, size: tuple[int, int], canvas: Framing, may_flip: bool
) -> Placement:
    """Draw where an image of this size (rows, columns) lands on the canvas."""
    # Always the same number of draws, so that no setting changes what another one draws.
    flip, scale, down, across = rng.random(4)
    if not config.enabled:
        return Placement.letterbox(*size, canvas)
    assert isinstance(canvas, Letterbox), canvas
    low, high = config.scale
    factor = low + (high - low) * scale
    rows, columns = (max(1, round(side * factor)) for side in canvas.content(*size))
    return Placement(
        original=size,
        resized=(rows, columns),
        canvas=(canvas.height, canvas.width),
        top=int(down * (max(0, rows - canvas.height) + 1)),
        left=int(across * (max(0, columns - canvas.width) + 1)),
        flip=bool(may_flip and flip < config.hflip),
    )
