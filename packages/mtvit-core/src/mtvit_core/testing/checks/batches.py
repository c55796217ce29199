"""Checks that an image is treated alike, whichever images share its batch."""

from typing import Any

import torch

from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, backward, explained, supervised
from mtvit_core.testing.fields import Field, tensor_fields

#: Largest relative difference of sums that are taken in another order.
SAME = 1e-4
_ALONE = "mind squeeze(), indexing and broadcasting that take an axis of length 1 for none"


def batch_of_one(case: Case) -> None:
    """A batch of one image can be trained on, predicted and decoded like any other."""
    model, one = case.model(), case.sample.rows([0])
    with explained("the loss of a batch of one image", _ALONE):
        backward(case.losses(model, one))
    with explained("predicting a batch of one image", _ALONE):
        predictions = case.predict(model, one)
        tensor_fields(predictions, "predictions of one image", 1)
        tensor_fields(case.targets(one), "targets of one image", 1)
        found = case.decode(predictions, one)
    if len(found) != 1:
        raise Breach(f"decode returned {len(found)} results for one image", _ALONE)


def batch_split(case: Case) -> None:
    """Predictions and targets of an image do not depend on the other images of its batch."""
    model, images = case.stirred(), len(case.sample)
    whole = tensor_fields(case.predict(model, case.sample), "predictions", images)
    targets = case.targets(case.sample)
    for i in range(images):
        one = case.sample.rows([i])
        alone = tensor_fields(case.predict(model, one), "predictions", 1)
        for together, single in _paired(whole, alone, "predictions"):
            _compare(together.narrow("B", i, 1), single.narrow("B", 0, 1), i, "head", shift=0)
        _compare_targets(targets, case.targets(one), images, i)


def _compare_targets(whole: Any, alone: Any, images: int, i: int) -> None:
    if whole.counts[i] != alone.counts[0] or bool(whole.labelled[i]) != bool(alone.labelled[0]):
        raise Breach(
            f"image {i} has counts {whole.counts[i]} and labelled {bool(whole.labelled[i])} in a batch, but "
            f"{alone.counts[0]} and {bool(alone.labelled[0])} alone",
            "make the targets of each image from its own annotations only",
        )
    start, count = sum(whole.counts[:i]), whole.counts[i]
    both = tensor_fields(whole, "targets", images), tensor_fields(alone, "targets", 1)
    for together, single in _paired(*both, "targets"):
        place = together.place("T")
        if place is not None and together.value.shape[place] != sum(whole.counts):
            raise Breach(
                f"{together.name} has {together.value.shape[place]} entries along T, but counts says "
                f"{whole.counts}",
                "T holds the instances of the batch, its images end to end: sum(counts) entries",
            )
        packed, own = together.narrow("T", start, count), single.narrow("T", 0, count)
        packed, own = packed.narrow("B", i, 1), own.narrow("B", 0, 1)
        # Packed instances may say which image they are of.
        shift = i if place is not None and not packed.value.is_floating_point() else 0
        _compare(packed.narrow("M", 0, count), own.narrow("M", 0, count), i, "targets", shift)


def _paired(whole: list[Field], alone: list[Field], what: str) -> list[tuple[Field, Field]]:
    names = [[field.name for field in side] for side in (whole, alone)]
    if names[0] != names[1]:
        raise Breach(
            f"{what} of a batch hold {', '.join(names[0])}, of one image {', '.join(names[1])}",
            "fill the same fields whatever the batch",
        )
    return list(zip(whole, alone, strict=True))


def _compare(together: Field, alone: Field, image: int, part: str, shift: int) -> None:
    a, b = together.value.double(), alone.value.double()
    if a.shape != b.shape:
        raise Breach(
            f"{together.name} of image {image} has shape {tuple(a.shape)} in a batch, {tuple(b.shape)} alone",
            "let axes other than B, M and T not depend on the batch",
        )
    gap = (a - b).abs()
    if shift:
        gap = torch.minimum(gap, (a - b - shift).abs())
    limit = SAME * max(1.0, float(b.abs().max())) if b.numel() else 0.0
    if b.numel() and not bool((gap <= limit).all()):
        raise Breach(
            f"{together.name} of image {image} differs by {float(gap.max()):.3g} between a batch of several "
            "images and a batch of its own",
            f"compute in the {part} nothing over axis B: no mean, norm or maximum over images",
        )


def loss_scale(case: Case) -> None:
    """The loss is an average: the same images twice, or in another order, give the same loss."""
    model, images = case.stirred(), len(case.sample)
    order = list(range(images))
    with supervised(model), torch.no_grad():
        once = case.losses(model, case.sample)
        variants = {
            "with every image twice": case.losses(model, case.sample.rows(order + order)),
            "in reversed order": case.losses(model, case.sample.rows(order[::-1])),
        }
    for what, terms in variants.items():
        for name, value in terms.items():
            if abs(value.item() - once[name].item()) > SAME * max(1e-3, abs(once[name].item())):
                raise Breach(
                    f"loss term {name!r} is {once[name].item():.6g}, and {value.item():.6g} for the batch "
                    f"{what}",
                    "divide sums by what they run over (images, objects, pixels), counted in this batch",
                )
