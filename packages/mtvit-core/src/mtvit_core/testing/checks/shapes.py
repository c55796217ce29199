"""Checks of form: what a task declares, and what its head, targets and loss return."""

from typing import Any

import torch
from torch import Tensor

from mtvit_core.plugins.validation import Fault, check_task
from mtvit_core.tasks.task import Targets
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, supervised
from mtvit_core.testing.fields import tensor_fields


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
        raise Breach(f"{name} lacks `counts` or `labelled`", "add both, see mtvit_core.tasks.task.Targets")
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
        if not torch.isfinite(value):
            raise Breach(f"loss term {name!r} is {value.item()}", "keep divisors and logarithms above zero")
        if not value.requires_grad:
            raise Breach(
                f"loss term {name!r} is a constant {value.item():.3g} that no weight can lower",
                "compute it from the predictions, without detach() or no_grad()",
            )
