"""Check that a task learns."""

import torch

from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, backward
from mtvit_core.testing.checks.labels import gradients

#: Share of the first loss that the training run has to take away.
GAIN = 0.2


def training(case: Case) -> None:
    """Some updates on a few images lower the loss, and reach every weight of the task."""
    model = case.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=case.lr)
    losses = []
    for step in range(case.steps):
        model.progress(step / case.steps)
        optimiser.zero_grad(set_to_none=True)
        losses.append(backward(case.losses(model, case.sample)))
        if not step:
            _check_reached(case, set(gradients(model)), [name for name, _ in model.named_parameters()])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    if not last < first - GAIN * abs(first):
        raise Breach(
            f"{case.steps} updates on {len(case.sample)} images led the loss from {first:.4g} to {last:.4g}, "
            f"and is to take {GAIN:.0%} away",
            "look at the signs of the terms, at detach(), and at `lr` and `steps` of the suite",
        )


def _check_reached(case: Case, reached: set[str], names: list[str]) -> None:
    own = (f"tasks.{case.task.name}.", "decoders.")
    missed = [n for n in names if n.startswith(own) and n not in reached]
    if missed:
        raise Breach(
            f"no loss term reaches {missed[0]}",
            "use the weight, or leave it out; distributed training stops at weights without a gradient",
        )
