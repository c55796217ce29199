"""Checks of the way there and back: annotations -> targets -> perfect predictions -> results -> metrics."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.pixel_maps import CategoryMap, DenseMap, PixelMap
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


def _as_if(result: ImageResult, at: ImageMeta) -> ImageResult:
    """Give one image the result of another."""
    maps = {name: _of_size(values, at.height, at.width) for name, values in result.maps.items()}
    here = replace(result, instances=replace(result.instances, height=at.height, width=at.width), maps=maps)
    return here.named(at.image_id, at.file_name)


def _of_size(values: PixelMap, rows: int, columns: int) -> PixelMap:
    if isinstance(values, DenseMap):
        planes = [resized(plane, rows, columns) for plane in values.values]
        return replace(values, values=torch.stack(planes))
    ids, segments = values.category_ids, values.segment_ids
    return replace(
        values,
        category_ids=resized(ids.float(), rows, columns).long(),
        segment_ids=None if segments is None else resized(segments.float(), rows, columns).long(),
    )


def _score(case: Case, results: list[ImageResult]) -> dict[str, float]:
    evaluator = case.task.evaluator()
    evaluator.update(results, case.sample.truth, case.sample.meta)
    return evaluator.compute()


def flips(case: Case) -> None:
    """Targets of a mirrored image are the mirrored targets: decoded, they give the mirrored result."""
    model, plain, mirrored = case.model(), case.sample, case.mirrored_sample
    straight = case.decode(case.perfect(model, plain), plain)
    found = case.decode(case.perfect(model, mirrored), mirrored)
    sure = [result.above(SURE) for result in straight]
    if not any(len(kept) or kept.maps or any(map(len, kept.labels.values())) for kept in sure):
        raise Breach(
            f"perfect predictions of {len(plain)} images have no result with a score of {SURE} or more",
            "let `perfect` say with certainty what is there",
        )
    for i, (result, flipped) in enumerate(zip(sure, found, strict=True)):
        _compare_objects(result.instances, flipped.above(SURE).instances, i, case.mirror)
        _compare_maps(result, flipped, i)


def _compare_objects(straight: Instances, flipped: Instances, image: int, mirror: Mirror) -> None:
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
    masks, others = straight.masks.flip(-1), flipped.masks
    off = int((masks != others).sum())
    if off > 0.01 * max(1, int(masks.sum())):
        raise Breach(
            f"masks of {where} differ in {off} pixels from those of the mirrored image",
            f"look for an offset in x, {_STEPS}",
        )


def _compare_maps(straight: ImageResult, flipped: ImageResult, image: int) -> None:
    for name, values in straight.maps.items():
        off = _difference(values, flipped.maps[name])
        if off > DENSE:
            raise Breach(
                f"{name} of image {image} is up to {off:.2g} of its range off what the mirrored image should "
                "have",
                f"look for an offset in x, {_STEPS}",
            )


def _difference(straight: PixelMap, flipped: PixelMap) -> float:
    """Largest difference as a share of the range; of categories the share of pixels that differ."""
    if isinstance(straight, DenseMap) and isinstance(flipped, DenseMap):
        values = straight.values.flip(-1)
        # A channel named x is a direction, which a mirror turns round.
        turned = torch.tensor([-1.0 if channel == "x" else 1.0 for channel in straight.channels])
        gap = float((values * turned[:, None, None] - flipped.values).nan_to_num().abs().max())
        return gap / max(float(values.nan_to_num().max() - values.nan_to_num().min()), 1e-12)
    if isinstance(straight, CategoryMap) and isinstance(flipped, CategoryMap):
        return float((straight.category_ids.flip(-1) != flipped.category_ids).float().mean())
    return 1.0


def _sure(keypoints: Float[Tensor, "M K 3"]) -> Float[Tensor, "M K 3"]:
    """NaN for keypoints that are not meant to be found."""
    return keypoints.masked_fill(keypoints[..., 2:] < SURE, torch.nan)
