"""The log of a search."""

from pathlib import Path

import pytest

from mtvit_core.errors import CheckpointError
from mtvit_train.search.evolution.log import Log


def test_records_are_recalled_in_their_order(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    assert log.recall("a") is None
    log.add("a", {"value": 0.1 + 0.2})
    log.add("b", {"value": float("nan")})
    again = Log(tmp_path / "log")
    assert (again.left, again.count("a"), again.count("c")) == (2, 1, 0)
    assert again.recall("a") == {"kind": "a", "value": 0.1 + 0.2}
    assert again.recall("b") == {"kind": "b", "value": None}
    assert again.recall("c") is None


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(path).add("a", {})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": ')
    assert Log(path).left == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["nothing", "3"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log"
    path.write_text('{"kind": "a"}\n' + line + "\n")
    with pytest.raises(CheckpointError, match=r"line 2 is .*; restore it"):
        Log(path)


def test_another_record_than_expected_is_refused(tmp_path: Path) -> None:
    Log(tmp_path / "log").add("a", {"genome": "x"})
    with pytest.raises(CheckpointError, match="line 1 has kind 'a' where this search comes to 'b'"):
        Log(tmp_path / "log").recall("b")
    with pytest.raises(CheckpointError, match="line 1 has genome 'x' where this search comes to 'y'"):
        Log(tmp_path / "log").recall("a", genome="y")
