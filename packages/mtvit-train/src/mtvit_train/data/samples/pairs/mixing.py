"""Two training images as one, whose classes count by their shares of it.

    mixup   x = l x_a + (1 - l) x_b,  y = l y_a + (1 - l) y_b,  l ~ Beta(alpha, alpha)
    cutmix  a box of x_b, of (1 - l) of the canvas around a random centre, over x_a; l is then what is left

Sources: Zhang et al. 2018; Yun et al. 2019, Algorithm A1.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.structures.annotations import IMAGE_LABELS, Annotations, TrueImageLabels
from mtvit_train.data.samples.augment import AugmentConfig


@dataclass(frozen=True)
class Mix:
    """How a second image comes into a first one.

    Attributes:
        partner: Place of the second image among those that are labelled.
        share: What the first one counts, l.
        box: Rows and columns y0 y1 x0 x1 that the second one covers; None where they are averaged.
    """

    partner: int
    share: float
    box: tuple[int, int, int, int] | None


def check_mixing(config: AugmentConfig, needs: frozenset[str]) -> None:
    """Refuse to mix images of which a task learns more than their classes.

    Raises:
        ConfigError: there is such a task.
    """
    others = sorted(needs - {IMAGE_LABELS})
    if (config.mixup or config.cutmix) and others:
        raise ConfigError(
            f"augment.mixup and augment.cutmix mix whole images and their classes, but a task learns from "
            f"{others[0]}; set both to 0, or train only tasks that learn from {IMAGE_LABELS}."
        )


def draw_mix(
    rng: np.random.Generator, config: AugmentConfig, canvas: tuple[int, int], partners: int
) -> Mix | None:
    """Draw whether and how an image is mixed with one of so many others; None: it stays as it is."""
    # Always the same number of draws, so that no setting changes what another one draws.
    chance, kind, down, across = rng.random(4)
    partner = int(rng.integers(partners)) if partners else 0
    if not config.enabled or not partners or chance >= config.mix_share:
        return None
    cuts = kind < 0.5 if config.mixup and config.cutmix else config.cutmix > 0
    alpha = config.cutmix if cuts else config.mixup
    if not alpha:
        return None
    share = float(rng.beta(alpha, alpha))
    if not cuts:
        return Mix(partner, share, None)
    spans = []
    for size, place in zip(canvas, (down, across), strict=True):
        centre, half = place * size, size * (1 - share) ** 0.5 / 2
        spans += [round(max(0, centre - half)), round(min(size, centre + half))]
    y0, y1, x0, x1 = spans
    left = 1 - (y1 - y0) * (x1 - x0) / (canvas[0] * canvas[1])
    return Mix(partner, left, (y0, y1, x0, x1))


def mix_images(
    first: UInt8[Tensor, "3 H W"], second: UInt8[Tensor, "3 H W"], mix: Mix
) -> UInt8[Tensor, "3 H W"]:
    """Return the second image in the first."""
    if mix.box is None:
        mean = first.float() * mix.share + second.float() * (1 - mix.share)
        return mean.round().to(torch.uint8)
    y0, y1, x0, x1 = mix.box
    mixed = first.clone()
    mixed[:, y0:y1, x0:x1] = second[:, y0:y1, x0:x1]
    return mixed


def mix_labels(first: Annotations, second: Annotations, mix: Mix) -> Annotations:
    """Return the first image's annotations with the classes of both; both are labelled."""
    ours, theirs = first.image_labels, second.image_labels
    assert ours is not None
    assert theirs is not None
    present = mix.share * ours.present + (1 - mix.share) * theirs.present
    return replace(first, image_labels=TrueImageLabels(present, ours.known & theirs.known))
