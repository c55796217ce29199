"""The loss curve of several processes is that of one: the cases of ``benchmarks/robustness/ranks.py``."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.robustness import ranks

from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import forked

Curves = dict[str, list[dict[str, float]]]

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
    "learned gates, two passes, checkpointing",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curves") / "scenes"
    write_scenes(folder, train=7, val=2, seed=3, size=64)
    return folder


def in_forked(names: Sequence[str], data: Path, steps: int) -> Curves:
    """What ``ranks.in_processes`` gives of two, sooner."""
    out = data / "curves.json"
    given = ("--worker", str(out), "--data", str(data), "--steps", str(steps), "--cases", *names)
    done = forked("-m", "benchmarks.robustness.ranks", *given)
    assert done.returncode == 0, done.stderr
    found: Curves = json.loads(out.read_text())
    return found


def hold(names: Sequence[str], one: Curves, many: Curves, steps: int) -> None:
    """Hold every term of every step of some cases to the limit."""
    for name in names:
        assert len(one[name]) == steps
        assert one[name][0]["loss"] != one[name][-1]["loss"]
        for term in ("loss", "grad_norm"):
            assert ranks.deviation(one[name], many[name], term) <= LIMIT, (name, term)


def test_two_processes_train_as_one(data: Path) -> None:
    hold(QUICK, ranks.curves(QUICK, data, 5), in_forked(QUICK, data, 5), 5)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_fifty_steps_of_every_case(data: Path, processes: int) -> None:
    names = [name for name in [*ranks.CASES, ranks.UNEVEN] if ranks.fits(name, processes)]
    hold(names, ranks.curves(names, data, 50), ranks.in_processes(names, data, 50, processes), 50)


def test_a_deviation_is_seen() -> None:
    one = [{"loss": 2.0}, {"loss": 4.0}]
    assert ranks.deviation(one, [{"loss": 2.0}, {"loss": 4.1}]) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="different terms"):
        ranks.deviation(one, [{"loss": 2.0}, {"other": 4.0}])
