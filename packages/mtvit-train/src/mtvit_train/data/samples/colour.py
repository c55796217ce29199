"""Random changes of colour, as one affine map of RGB per image.

Brightness, contrast, saturation and hue are each affine in RGB, so their product is one 3 x 3 matrix and an
offset: one pass over the pixels and one rounding. Hue is turned in the chroma plane of YIQ, which keeps luma.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from numpy import ndarray
from torch import Tensor

from mtvit_train.data.samples.augment import AugmentConfig

# ITU-R BT.601: luma of R, G, B; and RGB to YIQ.
_LUMA = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def jitter_colour(
    rng: np.random.Generator, config: AugmentConfig, image: UInt8[Tensor, "3 H W"]
) -> UInt8[Tensor, "3 H W"]:
    """Change brightness, contrast, saturation and hue at random, in this order."""
    drawn = 2 * rng.random(4) - 1
    limits = np.array([config.brightness, config.contrast, config.saturation, config.hue])
    if not config.enabled or not limits.any():
        return image
    brightness, contrast, saturation, hue = drawn * limits
    return change_colour(image, 1 + brightness, 1 + contrast, 1 + saturation, hue)


def change_colour(
    image: UInt8[Tensor, "3 H W"], brightness: float, contrast: float, saturation: float, hue: float
) -> UInt8[Tensor, "3 H W"]:
    """Scale brightness, contrast around the mean luma, and saturation around each pixel's luma; turn the hue.

    Args:
        image: RGB, 0 to 255.
        brightness: Factor, 1 for no change.
        contrast: Factor.
        saturation: Factor; 0 is grey.
        hue: Turn of the colour circle, as a share of it; 0 for no change.
    """
    means = image.sum((1, 2), dtype=torch.int64).numpy() / (image.shape[1] * image.shape[2])
    offset = (1 - contrast) * brightness * float(_LUMA @ means)
    matrix = torch.from_numpy(brightness * contrast * hue_matrix(hue) @ saturation_matrix(saturation)).float()
    # Pixel by pixel and not as a matrix product, whose rounding depends on the number of threads.
    pixels = image.float()
    columns = matrix[:, :, None, None].unbind(1)
    changed = (columns[0] * pixels[0]).add_(offset)
    for column, plane in zip(columns[1:], pixels[1:], strict=True):
        changed.add_(column * plane)
    return changed.round_().clamp_(0, 255).to(torch.uint8)


def saturation_matrix(factor: float) -> Float64[ndarray, "3 3"]:
    """Blend each pixel with its luma; grey pixels stay as they are."""
    return factor * np.eye(3) + (1 - factor) * np.outer(np.ones(3), _LUMA)


def hue_matrix(turn: float) -> Float64[ndarray, "3 3"]:
    """Turn the chroma plane of YIQ; grey pixels and luma stay as they are."""
    cosine, sine = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    rotation = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    return np.asarray(np.linalg.inv(_YIQ) @ rotation @ _YIQ)
