"""Times of candidates: a table of blocks gives back what was timed."""

import json
from pathlib import Path

import numpy as np
import pytest

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.log import Log
from mtvit_train.search.latency import clock, read_times, time_blocks, write_times

DEEP = Space(widths=(8, 16), heads=(1, 2), ratios=(2.0, 4.0), depths=(9,), blocks=9)
SHALLOW = Space(widths=(8, 16), heads=(1, 2), ratios=(2.0, 4.0), depths=(7, 8, 9), blocks=9)


def passing(genome: Genome) -> float:
    """Milliseconds that are a sum over the blocks and what lies beside them."""
    parts = zip(genome.heads, genome.ratios, strict=True)
    return 3.0 + genome.width / 8 + sum(genome.width * (0.1 * h + 0.01 * r) for h, r in parts)


class Timed:
    """Times as above, each a little off, and counts."""

    def __init__(self, noise: float = 0.0) -> None:
        self.count, self.noise, self.rng = 0, noise, np.random.default_rng(0)

    def __call__(self, genome: Genome) -> float:
        self.count += 1
        return passing(genome) * float(self.rng.uniform(1 - self.noise, 1 + self.noise))


@pytest.mark.parametrize("space", [DEEP, SHALLOW])
def test_a_table_tells_times_that_were_not_measured(space: Space) -> None:
    timed, rng = Timed(), np.random.default_rng(1)
    table = time_blocks(space, timed, "a test", 0)
    for _ in range(20):
        genome = space.draw(rng)
        assert table.ms(genome) == pytest.approx(passing(genome))
    assert table.error == pytest.approx(0, abs=1e-9)
    assert timed.count == 3 * (13 if space is DEEP else 17)


def test_what_lies_beside_the_blocks_is_told_where_depth_can_be_chosen() -> None:
    table = time_blocks(SHALLOW, passing, "a test", 0)
    assert table.base == pytest.approx({"8": 4.0, "16": 5.0})
    assert time_blocks(DEEP, passing, "a test", 0).base == {"8": 0.0, "16": 0.0}


def test_a_busy_moment_spoils_no_time() -> None:
    """Passes take five times as long for a while, in which a third of all networks is timed."""
    counted = Timed()

    def busy(genome: Genome) -> float:
        return counted(genome) * (5.0 if 10 < counted.count <= 27 else 1.0)

    table = time_blocks(SHALLOW, busy, "a test", 0)
    assert table.error == pytest.approx(0, abs=1e-9)


def test_a_noisy_table_says_by_how_much_it_errs() -> None:
    table = time_blocks(SHALLOW, Timed(0.1), "a test", 0)
    assert 0.001 < table.error < 0.2
    assert f"{table.error:.1%}" in table.line


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = time_blocks(DEEP, Timed(0.3), "a test", 0)
    write_times(tmp_path / "latency.json", table)
    assert read_times(tmp_path / "latency.json", DEEP) == table


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"machine": "", "base": {}, "blocks": {}, "error": 0}'])
def test_what_is_no_table_of_the_space_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "latency.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"search.table .*latency.json: (no table|it lacks)"):
        read_times(path, DEEP)


def told(tmp_path: Path, timed: Timed, **settings: object) -> tuple[float | None, list[str]]:
    lines: list[str] = []
    table = SearchTable.model_validate(settings)
    files = Log(tmp_path / "log"), tmp_path / "latency.json"
    ms = clock(table, DEEP, timed, "a test", *files, lines.append)
    return ms(DEEP.smallest), lines


def test_a_table_that_is_there_is_taken(tmp_path: Path) -> None:
    first, lines = told(tmp_path, Timed(0.3))
    again = Timed(0.3)
    assert told(tmp_path, again) == (first, lines)
    assert again.count == 0
    other = tmp_path / "other"
    other.mkdir()
    assert told(other, again, table=str(tmp_path / "latency.json")) == (first, lines)
    assert (other / "latency.json").read_bytes() == (tmp_path / "latency.json").read_bytes()


def test_single_times_are_kept_in_the_log(tmp_path: Path) -> None:
    timed = Timed(0.3)
    first, lines = told(tmp_path, timed, latency="measure")
    assert lines == ["Every candidate is timed on a test."]
    assert told(tmp_path, timed, latency="measure") == (first, lines)
    assert timed.count == 1
    assert json.loads((tmp_path / "log").read_text()) == {
        "kind": "measured",
        "genome": str(DEEP.smallest),
        "ms": first,
    }


def test_no_time_is_told_where_none_is_wanted(tmp_path: Path) -> None:
    assert told(tmp_path, Timed(), latency="none") == (None, [])


def test_a_log_of_other_times_is_refused(tmp_path: Path) -> None:
    Log(tmp_path / "log").add("measured", {"genome": str(DEEP.largest), "ms": 1.0})
    with pytest.raises(CheckpointError, match="line 1 has genome"):
        told(tmp_path, Timed(), latency="measure")
