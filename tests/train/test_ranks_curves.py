"""The loss curve of several processes is that of one: the cases of ``benchmarks/ranks.py``."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark as a module."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "ranks.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_ranks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deviations(bench: ModuleType, names: Sequence[str], data: Path, steps: int, processes: int) -> None:
    """Hold every term of every step of some cases to the limit."""
    write_scenes(data, train=7, val=2, seed=3, size=64)
    one, many = bench.curves(names, data, steps), bench.in_processes(names, data, steps, processes)
    for name in names:
        assert len(one[name]) == steps
        assert one[name][0]["loss"] != one[name][-1]["loss"]
        for term in ("loss", "grad_norm"):
            assert bench.deviation(one[name], many[name], term) <= LIMIT, (name, term)


def test_two_processes_train_as_one(bench: ModuleType, tmp_path: Path) -> None:
    deviations(bench, QUICK, tmp_path / "scenes", steps=5, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_fifty_steps_of_every_case(bench: ModuleType, tmp_path: Path, processes: int) -> None:
    names = [name for name in [*bench.CASES, bench.UNEVEN] if bench.fits(name, processes)]
    deviations(bench, names, tmp_path / "scenes", 50, processes)


def test_a_deviation_is_seen(bench: ModuleType) -> None:
    one = [{"loss": 2.0}, {"loss": 4.0}]
    assert bench.deviation(one, [{"loss": 2.0}, {"loss": 4.1}]) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="different terms"):
        bench.deviation(one, [{"loss": 2.0}, {"other": 4.0}])
