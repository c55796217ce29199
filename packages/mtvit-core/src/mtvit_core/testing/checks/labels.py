"""Checks of what is not there: images without objects, and images without labels."""

import math

import torch
from torch import Tensor

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, backward, explained, supervised
from mtvit_core.testing.checks.batches import SAME
from mtvit_core.testing.sample import Sample

_EMPTY = "mind maxima, means and stacking over no element, and padding to the most objects of a batch"
_MASK = "multiply each image's share by `targets.labelled`, and take divisors from labelled images only"


def no_objects(case: Case) -> None:
    """Images that show no object are labelled images like others: finite losses, results and metrics."""
    sample = case.sample
    batches = {
        "a batch without objects": sample.emptied(),
        "a batch in which one image has no object": sample.rows([0]).emptied().followed_by(sample.rows([1])),
    }
    for what, batch in batches.items():
        with explained(f"the loss of {what}", _EMPTY):
            model = case.model()
            terms = case.losses(model, batch)
            backward(terms)
        bad = [name for name, value in terms.items() if not torch.isfinite(value)]
        bad += [name for name, grad in gradients(model).items() if not torch.isfinite(grad).all()]
        if bad:
            raise Breach(f"{what} gives {bad[0]!r} a loss or gradient that is not finite", _EMPTY)
        _check_labelled(case, batch, what)
        with explained(f"evaluating {what}", _EMPTY):
            evaluator = case.task.evaluator()
            evaluator.update(case.decode(case.predict(model, batch), batch), batch.truth, batch.meta)
            metrics = evaluator.compute()
        odd = [name for name, value in metrics.items() if not isinstance(value, float) or math.isinf(value)]
        if odd:
            raise Breach(
                f"evaluating {what} gives {odd[0]} = {metrics[odd[0]]!r}",
                "return float numbers, NaN where nothing was there to be found",
            )


def _check_labelled(case: Case, batch: Sample, what: str) -> None:
    """A crop without a person is no crop of a person; a whole image without objects is a labelled image."""
    labelled = [case.task.needs <= annotation.has for annotation in batch.annotations]
    if case.task.view == "image" and case.targets(batch).labelled.tolist() != labelled:
        raise Breach(
            f"targets.labelled is {case.targets(batch).labelled.tolist()} for {what}; `has` says {labelled}",
            "tell labelled images by `annotation.has`, not by the number of objects",
        )


def gradients(model: MultiTaskViT) -> dict[str, Tensor]:
    """Gradients by the name of the parameter, of those that have one."""
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def absent_labels(case: Case) -> None:
    """Images that lack a label the task needs give exactly zero loss and gradient, and change no metric."""
    for kind in sorted(case.task.needs):
        _check_zero(case, kind)
        _check_bystanders(case, kind)
        _check_metrics(case, kind)


def _check_zero(case: Case, kind: str) -> None:
    model = case.model()
    backward(case.losses(model, case.sample))
    reached = set(gradients(model))
    model.zero_grad(set_to_none=True)
    with explained(f"the loss of images without {kind}", _MASK):
        terms = case.losses(model, case.sample.lacking(kind))
    for name, value in terms.items():
        if value.item() != 0:
            raise Breach(f"loss term {name!r} is {value.item():.4g} for images without {kind}", _MASK)
    tie = "return terms that hang on the predictions even then, as `predictions.logits.sum() * 0` does"
    with explained(f"the gradient of the loss of images without {kind}", tie):
        backward(terms)
    for name, grad in gradients(model).items():
        if not bool((grad == 0).all()):
            raise Breach(
                f"images without {kind} give {name} a gradient of up to {float(grad.abs().max()):.3g}", _MASK
            )
    missed = sorted(reached - set(gradients(model)))
    if missed:
        raise Breach(
            f"images without {kind} give {missed[0]} no gradient, while labelled ones do; processes of a "
            "distributed run would wait for one another",
            tie,
        )


def _check_bystanders(case: Case, kind: str) -> None:
    model = case.stirred()
    mixed = case.sample.followed_by(case.sample.lacking(kind))
    with supervised(model), torch.no_grad():
        alone, beside = case.losses(model, case.sample), case.losses(model, mixed)
    for name, value in beside.items():
        if abs(value.item() - alone[name].item()) > SAME * max(1e-3, abs(alone[name].item())):
            raise Breach(
                f"loss term {name!r} of labelled images is {alone[name].item():.6g}, but "
                f"{value.item():.6g} when images without {kind} are in the batch",
                _MASK,
            )


def _check_metrics(case: Case, kind: str) -> None:
    mixed = case.sample.followed_by(case.sample.lacking(kind))
    found = case.decode(case.predict(case.stirred(), mixed), mixed)
    scores = []
    for batch in (case.sample, mixed):
        evaluator, count = case.task.evaluator(), len(batch)
        evaluator.update(found[:count], batch.truth, batch.meta)
        scores.append(evaluator.compute())
    for name, value in scores[0].items():
        if not _same(value, scores[1][name]):
            raise Breach(
                f"{name} is {value:.4g}, and {scores[1][name]:.4g} with images without {kind} added",
                f"leave images out in `Evaluator.update` unless {kind!r} is in their `has`",
            )


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
