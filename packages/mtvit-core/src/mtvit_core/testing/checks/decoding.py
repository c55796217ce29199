"""Checks of the way there and back: annotations -> targets -> perfect predictions -> results -> metrics."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case
from mtvit_core.testing.mirror import Mirror
from mtvit_core.testing.sample import resized

#: Largest difference of a metric from its best value.
EXACT = 1e-3
#: Score from which a row is one that perfect predictions meant to be found.
SURE = 0.5
#: Largest distance of places that should be equal, in original pixels.
PIXELS = 0.05
#: Largest difference of dense results that should be equal, as a share of their range: half a pixel of slope.
DENSE = 0.01
_STEPS = "a half pixel, or rows taken for columns, in `targets`, `perfect` or `decode`"


def perfect_predictions(case: Case) -> None:
    """Predictions that say the truth reach the best value of the task's metrics, and others do not."""
    sample = case.sample
    results = case.decode(case.perfect(case.model(), sample), sample)
    for name, best in case.best.items():
        value = _score(case, results).get(name)
        if value is None or not abs(value - best) <= EXACT:
            raise Breach(
                f"perfect predictions of {len(sample)} images have {name} = "
                f"{'nothing' if value is None else format(value, '.4g')}, the best is {best:g}",
                "find the step that loses something: targets (canvas pixels to what the head predicts), "
                "decode (back to original pixels), evaluator",
            )
    others = [_as_if(result, at) for result, at in zip(results[1:] + results[:1], sample.meta, strict=True)]
    wrong = _score(case, others)
    fooled = [name for name, best in case.best.items() if abs(wrong[name] - best) <= EXACT]
    if fooled:
        raise Breach(
            f"{fooled[0]} is as good, {wrong[fooled[0]]:.4g}, when every image has the result of another",
            "compare results with the annotations of the same image",
        )


def _as_if(result: Instances, at: ImageMeta) -> Instances:
    """Give one image the result of another."""
    maps = {name: resized(values, at.height, at.width) for name, values in result.maps.items()}
    here = replace(result, height=at.height, width=at.width, maps=maps)
    return replace(here, image_id=at.image_id, file_name=at.file_name)


def _score(case: Case, results: list[Instances]) -> dict[str, float]:
    evaluator = case.task.evaluator()
    evaluator.update(results, case.sample.truth, case.sample.meta)
    return evaluator.compute()


def flips(case: Case) -> None:
    """Targets of a mirrored image are the mirrored targets: decoded, they give the mirrored result."""
    model, plain, mirrored = case.model(), case.sample, case.mirrored_sample
    straight = case.decode(case.perfect(model, plain), plain)
    found = case.decode(case.perfect(model, mirrored), mirrored)
    if not any(len(result.above(SURE)) or result.maps for result in straight):
        raise Breach(
            f"perfect predictions of {len(plain)} images have no result with a score of {SURE} or more",
            "let `perfect` say with certainty what is there",
        )
    for i, (result, flipped) in enumerate(zip(straight, found, strict=True)):
        _compare(result.above(SURE), flipped.above(SURE), i, case.mirror)


def _compare(straight: Instances, flipped: Instances, image: int, mirror: Mirror) -> None:
    where = f"image {image}"
    if straight.labels.tolist() != flipped.labels.tolist():
        raise Breach(
            f"{where} shows {', '.join(straight.names) or 'nothing'}, "
            f"mirrored {', '.join(flipped.names) or 'nothing'}",
            "let `targets` keep all instances, in their order",
        )
    pairs = {
        "boxes": (mirror.boxes(straight.boxes, straight.width), flipped.boxes),
        "keypoints": (_sure(mirror.keypoints(straight)), _sure(flipped.keypoints)),
    }
    for name, (expected, got) in pairs.items():
        if not torch.allclose(expected, got, rtol=0, atol=PIXELS, equal_nan=True):
            gap = float((expected - got).nan_to_num().abs().max())
            raise Breach(
                f"{name} of {where} are {gap:.3g} pixels off where the mirrored image should have them",
                f"look for an offset in x, {_STEPS}",
            )
    for name, values in straight.maps.items():
        gap = float((values.flip(-1) - flipped.maps[name]).nan_to_num().abs().max())
        if gap > DENSE * float(values.max() - values.min()):
            raise Breach(
                f"{name} of {where} is up to {gap:.3g} off what the mirrored image should have",
                f"look for an offset in x, {_STEPS}",
            )
    masks, others = straight.masks.flip(-1), flipped.masks
    off = int((masks != others).sum())
    if off > 0.01 * max(1, int(masks.sum())):
        raise Breach(
            f"masks of {where} differ in {off} pixels from those of the mirrored image",
            f"look for an offset in x, {_STEPS}",
        )


def _sure(keypoints: Float[Tensor, "M K 3"]) -> Float[Tensor, "M K 3"]:
    """NaN for keypoints that are not meant to be found."""
    return keypoints.masked_fill(keypoints[..., 2:] < SURE, torch.nan)
