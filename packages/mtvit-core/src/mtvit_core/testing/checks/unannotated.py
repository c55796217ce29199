"""Check of categories that nobody annotated in an image, where their objects may be all the same.

A task that finds such an object is right or wrong, and nobody knows which. So what perfect predictions of the
whole truth lose against those of the annotated part is to be nothing; what they lose where the same labels
claim to be complete is the measure of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mtvit_core.losses.matching import match_all
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case
from mtvit_core.testing.checks.batches import SAME
from mtvit_core.testing.checks.decoding import EXACT
from mtvit_core.testing.sample import Sample, take

#: Largest share of what a find costs where it is wrong that it may cost where nobody knows.
SPARED = 0.01


def unannotated(case: Case) -> None:
    """Finding objects of a category that nobody annotated in an image costs nothing, in loss and metrics."""
    if case.task.view == "person":
        return  # a crop shows one person, whose label it has
    for label in sorted({found for a in case.sample.annotations for found in a.labels.tolist()}):
        _check_loss(case, label)
        _check_metrics(case, label)


def _check_loss(case: Case, label: int) -> None:
    model, everywhere = case.model(), range(len(case.sample))
    unknown = _hiding(case, label, everywhere, told=True)
    absent = _hiding(case, label, everywhere, told=False)
    found, left = case.perfect(model, case.sample), case.perfect(model, absent)
    price = {
        name: _sum(_losses(case, found, sample)) - _sum(_losses(case, left, sample))
        for name, sample in (("unknown", unknown), ("absent", absent))
    }
    if price["absent"] <= SAME:
        return  # the task does not ask for this category
    if price["unknown"] > SPARED * price["absent"]:
        raise Breach(
            f"finding {case.categories[label].name!r} costs a loss of {price['unknown']:.3g} in images where "
            f"nobody annotated it, and of {price['absent']:.3g} in images without any",
            "keep `annotated_classes(annotations, len(categories))` in the targets, and let scores of other "
            "categories count for nothing, as mtvit_core.losses.classification does",
        )


def _check_metrics(case: Case, label: int) -> None:
    showing = [i for i, a in enumerate(case.sample.truth) if label in a.labels]
    # The first one: of equal scores that of the first image counts first, so a wrong one costs most there.
    sample, model = _hiding(case, label, showing[:1], told=True), case.model()
    found = _metrics(case, case.decode(case.perfect(model, case.sample), sample), sample)
    left = _metrics(case, case.decode(case.perfect(model, sample), sample), sample)
    for name in case.best:
        if abs(found[name] - left[name]) > EXACT:
            raise Breach(
                f"{name} is {found[name]:.4g} where {case.categories[label].name!r} is found in an image in "
                f"which nobody annotated it, and {left[name]:.4g} where it is not",
                "leave results of a category out in `Evaluator.update` where `annotated` says that it is not "
                "annotated",
            )


def _hiding(case: Case, label: int, images: Sequence[int], *, told: bool) -> Sample:
    """The sample without the labels of a category in some images, which tell so or claim to be complete."""
    annotated = torch.arange(len(case.categories)) != label

    def hidden(annotations: Annotations) -> Annotations:
        others = [i for i, found in enumerate(annotations.labels.tolist()) if found != label]
        return replace(take(annotations, others), annotated=annotated if told else None)

    def of(every: Sequence[Annotations]) -> tuple[Annotations, ...]:
        return tuple(hidden(one) if i in images else one for i, one in enumerate(every))

    return replace(case.sample, annotations=of(case.sample.annotations), truth=of(case.sample.truth))


@torch.inference_mode()
def _losses(case: Case, predictions: Any, sample: Sample) -> dict[str, Tensor]:
    """Terms of predictions that no model made."""
    targets = case.targets(sample)
    torch.manual_seed(0)
    cost = case.task.cost(predictions, targets)
    match = None if cost is None else match_all({case.task.name: (cost, targets.counts)})[case.task.name]
    return case.task.loss(predictions, targets, match)


def _sum(terms: Mapping[str, Tensor]) -> float:
    return sum(value.item() for value in terms.values())


def _metrics(case: Case, results: list[ImageResult], sample: Sample) -> dict[str, float]:
    evaluator = case.task.evaluator()
    evaluator.update(results, sample.truth, sample.meta)
    return evaluator.compute()
