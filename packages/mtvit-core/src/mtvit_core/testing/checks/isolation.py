"""Check that tasks of one model leave each other alone."""

from contextlib import nullcontext
from typing import Any

import torch

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, supervised
from mtvit_core.testing.fields import tensor_fields
from mtvit_core.testing.probe_task import Probe, ProbeConfig

#: Largest difference, relative to the largest value.
UNCHANGED = 1e-6


def isolation(case: Case) -> None:
    """With equal weights, another task changes no prediction of this one; nor does this one, if isolated."""
    probe = Probe(ProbeConfig(view=case.task.view, crop=case.task.crop), case.categories)
    both = case.stirred(probe)
    weights = both.state_dict()
    reversed_ = _with(case.model(probe, first=False), weights)
    alone = _with(case.model(), weights)
    name = case.task.name
    for what, other in (("beside another task", both), ("after another task", reversed_)):
        for mode in ("evaluation", "training"):
            _compare(
                _predict(alone, case, mode)[name],
                _predict(other, case, mode)[name],
                len(case.sample),
                f"{what}, in {mode}",
                "read from `features` only your own groups, picks and depths, by name",
            )
    if any(group.visibility == "joint" for group in alone.modules_of(name).groups):
        return  # joint queries are seen by all; that is what joint means
    torch.manual_seed(0)
    watcher = MultiTaskViT(alone.backbone, [probe], case.categories, alone.canvases["person"])
    expected = _predict(_with(watcher, weights), case, "evaluation")[probe.name]
    for other in (both, reversed_):
        _compare(
            expected,
            _predict(other, case, "evaluation")[probe.name],
            len(case.sample),
            f"as {name!r} joins the model, although it is another task's",
            "let the head change nothing in `features`, neither tensors nor mappings",
        )


def _with(model: MultiTaskViT, weights: dict[str, Any]) -> MultiTaskViT:
    model.load_state_dict({key: weights[key] for key in model.state_dict()})
    return model.eval()


def _predict(model: MultiTaskViT, case: Case, mode: str) -> dict[str, Any]:
    torch.manual_seed(0)
    with supervised(model) if mode == "training" else nullcontext(), torch.no_grad():
        found: dict[str, Any] = model(case.sample.images, case.task.view)
    return found


def _compare(expected: Any, got: Any, images: int, what: str, remedy: str) -> None:
    before, after = (tensor_fields(p, "predictions", images) for p in (expected, got))
    for a, b in zip(before, after, strict=True):
        if a.value.shape != b.value.shape:
            raise Breach(
                f"{a.name} changes from shape {tuple(a.value.shape)} to {tuple(b.value.shape)} {what}", remedy
            )
        gap = (a.value.double() - b.value.double()).abs()
        limit = UNCHANGED * max(1.0, float(a.value.abs().max())) if a.value.numel() else 0
        if gap.numel() and not bool((gap <= limit).all()):
            raise Breach(f"{a.name} changes by {float(gap.max()):.3g} {what}", remedy)
