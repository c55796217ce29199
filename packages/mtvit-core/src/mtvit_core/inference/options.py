"""What prediction is told beside the images."""

import math
from dataclasses import dataclass

import numpy as np

from mtvit_core.arguments import NUMBER, require, shown
from mtvit_core.errors import ConfigError
from mtvit_core.inference.people import PERSON_SCORE
from mtvit_core.results.linking import MIN_LINK


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How results are made of predictions.

    Attributes:
        min_score: Leave out objects and labels below this score, in [0, 1].
        part_score: Least score of what one task adds to an object that is linked; None for ``min_score``. A
            skeleton of 0.1 then stays with a person whose box has 0.9. Without linking it is not read.
        batch_size: Images (or crops) per pass.
        person_score: Least score of people that another task of the model found, in [0, 1].
        link: One row per object, see ``mtvit_core.results.linking``; without it, one per object and task.
        min_link: Least agreement of results that are linked, in [0, 1].
        bgr: Whether arrays H x W x 3 are blue, green, red, as OpenCV reads them; without it they are RGB.
    """

    min_score: float = 0.0
    part_score: float | None = None
    batch_size: int = 8
    person_score: float = PERSON_SCORE
    link: bool = True
    min_link: float = MIN_LINK
    bgr: bool = False

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: naming the option, its value and what is allowed.
        """
        for name in ("min_score", "part_score", "person_score", "min_link"):
            value = getattr(self, name)
            if name == "part_score" and value is None:
                continue
            if not (
                isinstance(value, NUMBER)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and 0 <= value <= 1
            ):
                raise ConfigError(f"predict: {name} is {shown(value)}; give a number from 0 to 1.")
        for name in ("link", "bgr"):
            require(f"predict: {name}", getattr(self, name), (bool, np.bool_), "True or False")
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ConfigError(
                f"predict: batch_size is {shown(self.batch_size)}; give a whole number from 1 up."
            )
