"""Check that several processes evaluate as one does."""

import math
import pickle
from collections.abc import Sequence

from mtvit_core.structures.instances import Instances
from mtvit_core.tasks.task import Evaluator
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.case import Case, explained
from mtvit_core.testing.sample import Sample

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


def _fed(evaluator: Evaluator, found: Sequence[Instances], sample: Sample, rows: Sequence[int]) -> Evaluator:
    part = sample.rows(rows)
    evaluator.update([found[i] for i in rows], part.truth, part.meta)
    return evaluator
