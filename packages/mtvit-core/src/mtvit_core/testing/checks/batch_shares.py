"""Checks that losses and metrics are the same however a batch is shared out over processes and passes."""

import math
import pickle
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.losses.global_batch import Counts, sharing
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
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


_PLAIN = "return from `state` plain data: dicts, lists, numbers, text"


def evaluator_merge(case: Case) -> None:
    """Evaluators of several processes, merged, equal one that saw all images; one seen twice counts once."""
    sample = case.sample
    predictions = case.predict(case.stirred(), sample)
    perfect = case.task.perfect(predictions, case.targets(sample))
    found = case.decode(predictions, sample)
    if (
        perfect is not None
    ):  # right on some images and wrong on others, so that metrics have something to tell
        found = found[:1] + case.decode(perfect, sample)[1:]
    images = list(range(len(sample)))
    half = len(images) // 2
    whole = _fed(case.task.evaluator(), found, sample, images).compute()
    for order in (1, -1):
        # The image in the middle is seen by both, as where a sampler fills up the last batch.
        parts = [_fed(case.task.evaluator(), found, sample, p) for p in (images[: half + 1], images[half:])]
        with explained("pickling the state of an evaluator", _PLAIN):
            states = [pickle.loads(pickle.dumps(part.state())) for part in parts[::order]]
        with explained("merging the states of two evaluators", "let `merge` take what `state` returns"):
            parts[0].merge(states)
            merged = parts[0].compute()
        for name, value in whole.items():
            other = merged.get(name, math.nan)
            if not (math.isclose(value, other, abs_tol=1e-9) or (math.isnan(value) and math.isnan(other))):
                raise Breach(
                    f"{name} is {value:.6g} by one evaluator, {other:.6g} by two that were merged",
                    "keep in the state what each image adds, by its id, and compute from the union",
                )


def _fed(
    evaluator: Evaluator, found: Sequence[ImageResult], sample: Sample, rows: Sequence[int]
) -> Evaluator:
    part = sample.rows(rows)
    evaluator.update([found[i] for i in rows], part.truth, part.meta)
    return evaluator
