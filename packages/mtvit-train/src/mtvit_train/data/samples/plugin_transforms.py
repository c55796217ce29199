"""Transforms of plugins, applied to a sample after the trainer's own augmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.errors import PluginError
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.annotations import Annotations
from mtvit_train.data.packed import Key

# Keeps the streams of random numbers for transforms apart from those of everything else.
_TRANSFORM_STREAM = 4


def change(
    transforms: Sequence[Transform[Any]],
    image: UInt8[Tensor, "3 H W"],
    annotations: Annotations,
    seed: int,
    key: Key,
) -> tuple[UInt8[Tensor, "3 H W"], Annotations]:
    """Apply transforms in their order, each with random numbers of its own.

    Raises:
        PluginError: one gives an image of another size or type.
    """
    for place, transform in enumerate(transforms):
        rng = np.random.default_rng([_TRANSFORM_STREAM, seed, *key, place])
        changed, annotations = transform(image, annotations, rng)
        if changed.shape != image.shape or changed.dtype != torch.uint8:
            raise PluginError(
                f"transform {transform.name!r}: it gave {changed.dtype} of shape {tuple(changed.shape)}, "
                f"not uint8 "
                f"of shape {tuple(image.shape)}; change pixels, not the canvas."
            )
        image = changed
    return image, annotations
