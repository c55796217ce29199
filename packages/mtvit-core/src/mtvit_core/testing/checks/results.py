"""Check of what decoding returns."""

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.results.image_labels import ImageLabels
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.instances import Instances
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case
from mtvit_core.testing.sample import Sample


def results(case: Case) -> None:
    """Decoding gives one result per image, in its pixels and categories, under the task's name."""
    sample = case.sample
    found = case.decode(case.predict(case.stirred(), sample), sample)
    for i, result in enumerate(found):
        _check_result(case, result, sample, i)
    fresh = case.predict(case.model(), sample)
    certain = case.task.perfect(fresh, case.targets(sample))
    for predictions in (fresh,) if certain is None else (fresh, certain):
        for i, result in enumerate(case.decode(predictions, sample)):
            _check_scores(result.scores, f"the result of image {i}")
            for name, labels in result.labels.items():
                _check_scores(labels.scores, f"label {name!r} of image {i}")


def _check_scores(scores: Float[Tensor, " M"], where: str) -> None:
    """Heads that draw heatmaps may exceed 1 with weights of no sense, but not with fresh or perfect ones."""
    bad = [score for score in scores.tolist() if not 0 <= score <= 1]
    if bad:
        raise Breach(f"{where} has the score {bad[0]:.3g}", "return probabilities in [0, 1], not logits")


def _check_result(case: Case, result: ImageResult, sample: Sample, i: int) -> None:
    meta, where = sample.meta[i], f"the result of image {i}"
    told = (result.height, result.width, result.image_id, result.file_name)
    if told != (meta.height, meta.width, meta.image_id, meta.file_name):
        raise Breach(
            f"{where} has height, width, image_id and file_name {told}, its meta says "
            f"{(meta.height, meta.width, meta.image_id, meta.file_name)}",
            "copy the four from the image's meta",
        )
    if result.categories != case.categories:
        raise Breach(f"{where} has other categories than the task", "pass `self.categories` on")
    _check_rows(case, result.instances, where)
    for name, labels in result.labels.items():
        _check_labels(case, labels, f"label {name!r} of {where}")


def _check_rows(case: Case, result: Instances, where: str) -> None:
    rows, keypoints = len(result), case.categories.max_keypoints
    sizes = {
        "labels": (result.labels, (rows,)),
        "scores": (result.scores, (rows,)),
        "boxes": (result.boxes, (rows, 4)),
        "keypoints": (result.keypoints, (rows, keypoints, 3)),
    }
    for name, (value, shape) in sizes.items():
        if tuple(value.shape) != shape or len(result.rles) != rows:
            raise Breach(
                f"{where} has {rows} rows, {name} of shape {tuple(value.shape)} and {len(result.rles)} rles",
                f"give every field one entry per row; keypoints are rows x {keypoints} x 3, or NaN",
            )
    bad = [n for n in result.labels.tolist() if not 0 <= n < len(case.categories)]
    if bad:
        raise Breach(
            f"{where} has the label {bad[0]}; there are {len(case.categories)} categories",
            "return labels, indices into the categories, not the ids of the data set",
        )
    limit = torch.tensor([result.width, result.height] * 2)
    x0, y0, x1, y1 = result.boxes.unbind(1)
    outside = (result.boxes < 0) | (result.boxes > limit) | result.boxes.isnan()
    if bool(outside.any()) or bool((x0 > x1).any()) or bool((y0 > y1).any()):
        row = int((outside.any(1) | (x0 > x1) | (y0 > y1)).nonzero()[0])
        corners = ", ".join(f"{value:.1f}" for value in result.boxes[row].tolist())
        raise Breach(
            f"{where}, {result.width} x {result.height} pixels, has the box {corners}",
            "return corners x0 y0 x1 y1 in original pixels, clipped: `meta.boxes_to_original(corners)`",
        )


def _check_labels(case: Case, found: ImageLabels, where: str) -> None:
    labels, scores = found.labels.tolist(), found.scores.tolist()
    bad = [n for n in labels if not 0 <= n < len(case.categories)]
    if bad or len(set(labels)) != len(labels) or len(scores) != len(labels):
        raise Breach(
            f"{where} has the classes {labels} and {len(scores)} scores",
            "give each class at most once, as an index into the categories, with one score",
        )
    if scores != sorted(scores, reverse=True):
        raise Breach(f"{where} is not sorted by score", "make it by `ImageLabels.of(scores, categories)`")
