"""What is to blame where a loss or the gradient of a step is not finite."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtvit_train.engine.gradients import Batches, Gradients


def not_updated(what: str) -> str:
    """Say what is not finite, and what to do."""
    return (
        f"{what} is not finite, so the weights were not updated; lower train.lr or raise train.warmup, or "
        "use train.precision=fp32."
    )


def not_finite(losses: Mapping[str, Tensor]) -> list[str]:
    """Return the names of terms that are infinite or NaN."""
    return [name for name, value in losses.items() if not torch.isfinite(value)]


def wild_gradients(losses: Mapping[str, Tensor], model: nn.Module) -> dict[str, str]:
    """Return, for each term whose own gradient is not finite, the first parameter where that is so.

    Args:
        losses: Terms with their graph.
        model: Whose parameters count, as far as they are trained.
    """
    names, parameters = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
    found: dict[str, str] = {}
    for term, value in losses.items():
        if value.requires_grad:
            gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            by_name = zip(names, gradients, strict=True)
            wild = [name for name, g in by_name if g is not None and not g.isfinite().all()]
            if wild:
                found[term] = wild[0]
    return found


def blamed(gradients: Gradients, batches: Batches, step: int) -> str:
    """Compute a step's losses again, and name what of this process's share is not finite; empty: all is.

    The streams of random numbers and the buffers have to stand where they stood before the step. All
    processes have to ask, since losses may wait for each other.
    """
    losses: list[str] = []
    wild: dict[str, str] = {}
    for terms in gradients.passes_of(batches, step):
        losses += not_finite(terms)
        wild = wild_gradients(terms, gradients.objective.model) | wild
    return ", ".join(dict.fromkeys(losses) or [f"the gradient of {t} at {n}" for t, n in wild.items()])
