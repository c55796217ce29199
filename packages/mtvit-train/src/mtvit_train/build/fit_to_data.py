"""Settings that follow from the training images: the canvas and the number of updates."""

import math

import numpy as np

from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import ModelConfig, RunConfig
from mtvit_train.data.packed import PackedAnnotations

#: Updates of a run whose length follows from its data, at least: boxes and keypoints of a hundred real images
#: still gain at the 400th.
FEWEST_STEPS = 420
#: Sides of a canvas that all usual patches divide: 8, 10, 12, 14, 16 and 32 pixels.
ANY_PATCH = 3360


def fitted(config: RunConfig, train: PackedAnnotations) -> RunConfig:
    """Return the settings of a run with those that follow from its data filled in.

    Args:
        config: Settings; what ``model.patches`` or ``train.steps = 0`` leave open is decided here.
        train: Training data.
    """
    model, steps = config.model, config.train.steps
    if model.patches and not model.start:
        model = model.model_copy(update={"image_size": fitted_canvas(model, train), "patches": 0})
    steps = steps or fitted_steps(len(train), config.train.epochs, config.train.batch_size)
    training = config.train.model_copy(update={"steps": steps})
    return config.model_copy(update={"model": model, "train": training})


def fitted_canvas(model: ModelConfig, train: PackedAnnotations) -> tuple[int, int]:
    """Return rows and columns of the canvas that shows most images with the least padding.

    Its sides have the median ratio of those of the images; it has ``model.patches`` patches at most, and is
    no larger than the images.
    """
    patch_rows, patch_columns = patch_of(model)
    rows, columns = np.median(train.sizes, axis=0)
    ratio = float(np.exp(np.median(np.log(train.sizes[:, 0] / train.sizes[:, 1]))))
    pixels = min(model.patches * patch_rows * patch_columns, float(rows * columns))
    high = max(1, round(math.sqrt(pixels * ratio) / patch_rows))
    wide = max(1, min(round(high * patch_rows / ratio / patch_columns), model.patches // high))
    return high * patch_rows, wide * patch_columns


def patch_of(model: ModelConfig) -> tuple[int, int]:
    """Return rows and columns of a patch of the backbone that the settings name."""
    backbone = create_backbone(model.backbone, (ANY_PATCH, ANY_PATCH), options=model.options)
    return backbone.spec.patch


def fitted_steps(images: int, epochs: float, batch_size: int) -> int:
    """Return the updates that make so many passes through the images, at least ``FEWEST_STEPS``."""
    return max(FEWEST_STEPS, math.ceil(epochs * images / batch_size))
