"""What evaluators of dense maps are given, one image at a time."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import PixelMap

ONE = Categories((Category(1, "thing"),))


def scored(evaluator: Evaluator, name: str, pairs: Sequence[tuple[PixelMap, Tensor]]) -> dict[str, float]:
    """The metrics of maps against labels, one pair per image."""
    for number, (found, label) in enumerate(pairs, start=1):
        at = ImageMeta.whole(*label.shape[-2:], image_id=number)
        result = replace(ImageResult.empty(at, ONE), maps={name: found})
        evaluator.update([result], [labelled(name, label)], [at])
    return evaluator.compute()


def labelled(name: str, label: Tensor) -> Annotations:
    """Annotations of an image that has one dense label and nothing else."""
    nothing = torch.zeros(0)
    return Annotations(
        boxes=torch.zeros(0, 4),
        labels=nothing.long(),
        masks=None,
        keypoints=None,
        is_crowd=nothing.bool(),
        areas=nothing,
        ids=nothing.long(),
        has=frozenset({name}),
        maps={name: label},
    )
