"""Check that a task that says so can leave Python."""

import torch

from mtvit_core.deploy.program import TensorsOnly, export
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, explained

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
