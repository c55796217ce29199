"""The loss curve of several processes is that of one: the cases of ``benchmarks/robustness/ranks.py``."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.robustness import ranks

from mtvit_train.scenes.writer import write_scenes

#: Largest relative deviation that fp32 is allowed.
LIMIT = 1e-5
#: Cases that cover what can go wrong on its own; the others are slow.
QUICK = (
    "one half boxes, the other half masks",
    "one half without objects",
    "two passes, learned queries",
    "Muon, checkpointing",
    "a data set that the batch does not divide",
    "a teacher, one half labelled, two passes",
)


def deviations(names: Sequence[str], data: Path, steps: int, processes: int) -> None:
    """Hold every term of every step of some cases to the limit."""
    write_scenes(data, train=7, val=2, seed=3, size=64)
    one, many = ranks.curves(names, data, steps), ranks.in_processes(names, data, steps, processes)
    for name in names:
        assert len(one[name]) == steps
        assert one[name][0]["loss"] != one[name][-1]["loss"]
        for term in ("loss", "grad_norm"):
            assert ranks.deviation(one[name], many[name], term) <= LIMIT, (name, term)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    deviations(QUICK, tmp_path / "scenes", steps=5, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_fifty_steps_of_every_case(tmp_path: Path, processes: int) -> None:
    names = [name for name in [*ranks.CASES, ranks.UNEVEN] if ranks.fits(name, processes)]
    deviations(names, tmp_path / "scenes", 50, processes)


def test_a_deviation_is_seen() -> None:
    one = [{"loss": 2.0}, {"loss": 4.0}]
    assert ranks.deviation(one, [{"loss": 2.0}, {"loss": 4.1}]) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="different terms"):
        ranks.deviation(one, [{"loss": 2.0}, {"other": 4.0}])
