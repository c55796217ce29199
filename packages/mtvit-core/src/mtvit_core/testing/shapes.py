"""Checks of form: what a task declares, and what its parts return."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtvit_core.instances import Instances
from mtvit_core.plugin_checks import Fault, check_task
from mtvit_core.task import Targets
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, supervised
from mtvit_core.testing.fields import tensor_fields
from mtvit_core.testing.sample import Sample


def declaration(case: Case) -> None:
    """The class is a complete Task of this contract version, with name, Config and needs."""
    try:
        check_task(case.cls)
    except Fault as fault:
        raise Breach(fault.cause, fault.remedy) from None


def shapes(case: Case) -> None:
    """Predictions and targets are frozen dataclasses whose tensors have the declared shapes and types."""
    model, images = case.stirred(), len(case.sample)
    with supervised(model), torch.no_grad():
        training = model(case.sample.images, case.task.view)[case.task.name]
    for what, predictions in (("", case.predict(model, case.sample)), (" in training", training)):
        found = tensor_fields(predictions, f"predictions{what}", images)
        if not any(f.place("B") is not None for f in found):
            raise Breach(
                f"no tensor of {type(predictions).__name__} has an axis B, one entry per image",
                'declare it, as in `logits: Float[Tensor, "B C"]`',
            )
    targets = case.targets(case.sample)
    tensor_fields(targets, "targets", images)
    _check_targets(targets, images)


def _check_targets(targets: Any, images: int) -> None:
    name = type(targets).__name__
    if not isinstance(targets, Targets):
        raise Breach(f"{name} lacks `counts` or `labelled`", "add both, see mtvit_core.task.Targets")
    labelled = targets.labelled
    if not isinstance(labelled, Tensor) or labelled.dtype != torch.bool or labelled.shape != (images,):
        raise Breach(
            f"{name}.labelled is {labelled!r} for {images} images",
            "give a boolean tensor, one value per image",
        )
    counts = targets.counts
    if not (isinstance(counts, tuple) and len(counts) == images and all(type(n) is int for n in counts)):
        raise Breach(
            f"{name}.counts is {counts!r} for {images} images", "give a tuple of int, one number per image"
        )


def loss_terms(case: Case) -> None:
    """The loss is a mapping from names to finite scalars that hang on the predictions."""
    terms = case.losses(case.model(), case.sample)
    if not terms:
        raise Breach(
            "the loss has no term for labelled images", "return at least one, as in {'class': value}"
        )
    for name, value in terms.items():
        if "/" in name:
            raise Breach(
                f"a loss term is named {name!r}",
                f"name it without '/'; mtvit puts '{case.task.name}/' before it",
            )
        if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
            raise Breach(f"loss term {name!r} is {_told(value)}", "return scalars: sum or average the rest")
        if not torch.isfinite(value):
            raise Breach(f"loss term {name!r} is {value.item()}", "keep divisors and logarithms above zero")
        if not value.requires_grad:
            raise Breach(
                f"loss term {name!r} is a constant {value.item():.3g} that no weight can lower",
                "compute it from the predictions, without detach() or no_grad()",
            )


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return repr(value)


def results(case: Case) -> None:
    """Decoding gives one result per image, in its pixels and categories, under the task's name."""
    sample = case.sample
    found = case.decode(case.predict(case.stirred(), sample), sample)
    if not isinstance(found, list) or len(found) != len(sample):
        size = f" of {len(found)}" if isinstance(found, list) else ""
        raise Breach(
            f"decode returned a {type(found).__name__}{size} for {len(sample)} images",
            "return a list with one Instances per entry of meta, empty ones included",
        )
    for i, result in enumerate(found):
        _check_result(case, result, sample, i)
    fresh = case.predict(case.model(), sample)
    certain = case.task.perfect(fresh, case.targets(sample))
    for predictions in (fresh,) if certain is None else (fresh, certain):
        for i, result in enumerate(case.decode(predictions, sample)):
            _check_scores(result.scores, f"the result of image {i}")


def _check_scores(scores: Float[Tensor, " M"], where: str) -> None:
    """Heads that draw heatmaps may exceed 1 with weights of no sense, but not with fresh or perfect ones."""
    bad = [score for score in scores.tolist() if not 0 <= score <= 1]
    if bad:
        raise Breach(f"{where} has the score {bad[0]:.3g}", "return probabilities in [0, 1], not logits")


def _check_result(case: Case, result: Instances, sample: Sample, i: int) -> None:
    meta, where = sample.meta[i], f"the result of image {i}"
    if not isinstance(result, Instances):
        raise Breach(f"{where} is a {type(result).__name__}", "return mtvit_core.Instances")
    told = (result.height, result.width, result.image_id, result.file_name)
    if told != (meta.height, meta.width, meta.image_id, meta.file_name):
        raise Breach(
            f"{where} has height, width, image_id and file_name {told}, its meta says "
            f"{(meta.height, meta.width, meta.image_id, meta.file_name)}",
            "copy the four from the image's meta",
        )
    if result.categories != case.categories:
        raise Breach(f"{where} has other categories than the task", "pass `self.categories` on")
    _check_rows(case, result, where)


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
    stray = sorted(set(result.tasks) - {case.task.name})
    if stray:
        raise Breach(f"{where} names the task {stray[0]!r}", f"set tasks to ({case.task.name!r},) * rows")
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
        raise Breach(
            f"{where}, {result.width} x {result.height} pixels, has the box {result.boxes[row].tolist()}",
            "return corners x0 y0 x1 y1 in original pixels, clipped: `meta.boxes_to_original(corners)`",
        )
