"""Checks that weights survive a file, and that a task that says so can be exported."""

import json

import torch
from safetensors.torch import load as read
from safetensors.torch import save as write

from mtvit_core.deploy.program import TensorsOnly, export
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, explained
from mtvit_core.testing.fields import tensor_fields

#: Largest difference, relative to the largest value.
EQUAL = 1e-5


def exporting(case: Case) -> None:
    """Where a task says `exportable`, torch.export follows it and the program gives the same predictions."""
    if not case.task.exportable:
        return
    model, view, images = case.stirred(), case.task.view, case.sample.images
    with explained(
        "torch.export", "make the head of tensor operations alone, or leave `exportable` as it is, False"
    ):
        program = export(model, view, len(images)).module()
    with torch.no_grad():
        expected, got = TensorsOnly(model, view)(images), program(images)
    for path, value in expected.items():
        same = value.shape == got[path].shape
        gap = float((value.double() - got[path].double()).abs().max()) if same and value.numel() else 0.0
        if not same or gap > EQUAL * max(1.0, float(value.abs().max())):
            raise Breach(
                f"{path} differs by {gap:.3g} in the exported program"
                if same
                else f"{path} has another shape there",
                "let no Python value of one image decide what is computed, such as `.item()` or `if tensor`",
            )


def state_dict(case: Case) -> None:
    """Weights and settings written to a file and read into a fresh model give the same predictions."""
    first, second = case.stirred(seed=1), case.model(seed=2).eval()
    own = ("backbone.", "decoders.", f"tasks.{case.task.name}.")
    stray = [key for key in first.state_dict() if not key.startswith(own)]
    if stray:
        raise Breach(f"the model has weights under {stray[0]!r}", "keep modules in `tokens` and `head` only")
    with explained(
        "writing the weights to a file", "give every module tensors of its own; two may not share memory"
    ):
        file = write({key: value.contiguous() for key, value in first.state_dict().items()})
    with explained("reading the weights into a fresh model", "build the same modules from the same settings"):
        second.load_state_dict(read(file))
    before = tensor_fields(case.predict(first, case.sample), "predictions", len(case.sample))
    after = tensor_fields(case.predict(second, case.sample), "predictions", len(case.sample))
    for a, b in zip(before, after, strict=True):
        if not torch.equal(a.value, b.value):
            gap = float((a.value.double() - b.value.double()).abs().max())
            raise Breach(
                f"{a.name} differs by {gap:.3g} after the weights were loaded into a model of another seed",
                "make every tensor that is drawn or learned a parameter, or a buffer that is persistent",
            )
    _check_settings(case)


def _check_settings(case: Case) -> None:
    config = case.task.config
    with explained(
        "reading the settings back from JSON",
        "use types of settings that JSON holds, and defaults that fit them",
    ):
        again = type(config).model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))
    if again != config:
        changed = [
            name for name in type(config).model_fields if getattr(again, name) != getattr(config, name)
        ]
        raise Breach(
            f"the setting {changed[0]!r} is {getattr(config, changed[0])!r}, but after a round trip through "
            f"JSON {getattr(again, changed[0])!r}",
            "use types of settings that JSON holds, and defaults that fit them",
        )
