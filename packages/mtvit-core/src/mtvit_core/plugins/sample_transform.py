"""A change of training samples, after the trainer's own augmentation."""

from abc import abstractmethod

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.plugins.extension import C, Extension
from mtvit_core.structures.annotations import Annotations


class Transform(Extension[C]):
    """Changes the canvas of a sample and its annotations alike; a run names it by a table of its own.

    The table is ``[transforms.<name>]``. Samples are a pure function of seed, epoch and index: draw from
    ``rng`` only.
    """

    @abstractmethod
    def __call__(
        self, image: UInt8[Tensor, "3 H W"], annotations: Annotations, rng: np.random.Generator
    ) -> tuple[UInt8[Tensor, "3 H W"], Annotations]:
        """Return the changed sample; what is given stays as it is.

        Args:
            image: The canvas, RGB, 0 to 255.
            annotations: What is labelled, in its pixels.
            rng: This sample's random numbers for this transform.
        """
