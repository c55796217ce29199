"""Checks that a loss is the same however its batch is shared out over processes and passes."""

from contextlib import ExitStack

import torch
from torch import Tensor

from mtvit_core.losses.draws import sharing
from mtvit_core.losses.global_batch import Counts
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, explained, supervised
from mtvit_core.testing.checks.batches import SAME
from mtvit_core.testing.sample import Sample

_MEND = "divide sums by `mtvit_core.shared_count` of what they run over, called before any return or branch"


def loss_shares(case: Case) -> None:
    """The loss of a batch is the mean of the losses of its shares, however processes share it out."""
    model, sample = case.stirred(), case.sample
    kind = sorted(case.task.needs)[0]
    last = sample.rows([len(sample) - 1])
    batches = {
        "": sample,
        ", the last of which has no object": sample.rows(range(len(sample) - 1)).followed_by(last.emptied()),
        f", the last of which lacks {kind}": sample.rows(range(len(sample) - 1)).followed_by(
            last.lacking(kind)
        ),
    }
    with supervised(model), torch.no_grad():
        for what, batch in batches.items():
            whole = _mean_of_shares(case, model, batch, 1)
            with explained(f"the loss of {len(batch)} images as {len(batch)} shares", _MEND):
                parts = _mean_of_shares(case, model, batch, len(batch))
            for name, value in whole.items():
                if abs(parts[name].item() - value.item()) > SAME * max(1e-3, abs(value.item())):
                    raise Breach(
                        f"loss term {name!r} of {len(batch)} images{what} is {value.item():.6g}, and "
                        f"{parts[name].item():.6g} as the mean over {len(batch)} shares",
                        _MEND,
                    )


def _mean_of_shares(case: Case, model: MultiTaskViT, batch: Sample, shares: int) -> dict[str, Tensor]:
    """Terms of a batch that is shared out, as processes that average their gradients compute them."""
    size = len(batch) // shares
    parts = [batch.rows(range(i * size, (i + 1) * size)) for i in range(shares)]
    counts = Counts()
    for during in (counts.counting, counts.handing_out):
        found = []
        for i, part in enumerate(parts):
            with ExitStack() as stack:
                stack.enter_context(during())
                stack.enter_context(sharing(i, shares, seed=0))
                found.append(case.losses(model, part))
    return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}
