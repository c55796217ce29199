"""What ``preprocessor_config.json`` does to pixels: a factor f, the mean m and the deviation s.

(f x - m) / s = (x / 255 - m / (255 f)) / (s / (255 f))     x from 0 to 255
"""

import math
from collections.abc import Mapping
from typing import Any

from mtvit_core.backbones.interface import Option
from mtvit_core.errors import CheckpointError
from mtvit_core.published.source import Source
from mtvit_core.structures.framing import Resample

#: Mean and deviation of ImageNet, which timm's weights and processors have unless they say otherwise.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Keys of a processor that ``pixel_options`` and ``resample_of`` follow.
PIXEL_SETTINGS = frozenset({"do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"})
RESAMPLE_SETTING = "resample"
#: Pillow's numbers of what ``Resample`` names.
_FILTERS: Mapping[int, Resample] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def pixel_options(source: Source) -> dict[str, Option]:
    """Return the options of a plain backbone that normalise pixels as the processor does.

    Raises:
        CheckpointError: a setting is no number, or a deviation is not positive.
    """
    said = source.processor
    factor = _numbers(source, "rescale_factor", (1 / 255,))[0] if _is_set(said, "do_rescale") else 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if _is_set(said, "do_normalize"):
        mean, std = _numbers(source, "image_mean", MEAN), _numbers(source, "image_std", STD)
    if min(factor, *std) <= 0:
        raise CheckpointError(
            f"source {source.where}: its preprocessor_config.json has rescale_factor {factor} and image_std "
            f"{list(std)}; both must be positive."
        )
    own_mean, own_std = ([value / (255 * factor) for value in values] for values in (mean, std))
    if all(math.isclose(a, b) for a, b in zip((*own_mean, *own_std), (*MEAN, *STD), strict=True)):
        return {}
    return {"pixel_mean": own_mean, "pixel_std": own_std}


def resample_of(source: Source) -> Resample:
    """Return how the processor finds pixels when it resizes.

    Raises:
        CheckpointError: in a way that is not known here.
    """
    found = source.processor.get(RESAMPLE_SETTING)
    found = 2 if found is None else found
    if type(found) is not int or found not in _FILTERS:
        known = ", ".join(f"{number} ({name})" for number, name in _FILTERS.items())
        raise CheckpointError(
            f"source {source.where}: its preprocessor_config.json has resample {found!r:.40}; only {known} "
            "are known here."
        )
    return _FILTERS[found]


def _is_set(said: Mapping[str, Any], key: str) -> bool:
    return said.get(key) is None or bool(said[key])


def _numbers(source: Source, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """A setting for each colour, or one for all; as many numbers as the default has."""
    found = source.processor.get(key)
    values = list(default) if found is None else found if isinstance(found, list) else [found]
    values = values * len(default) if len(values) == 1 else values
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            values = []
    if len(values) != len(default):
        raise CheckpointError(
            f"source {source.where}: its preprocessor_config.json has {key} {found!r:.60}; a number or "
            f"{len(default)} are known here."
        )
    return tuple(map(float, values))
