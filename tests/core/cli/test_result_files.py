"""A list of results is on the disk whole or not at all."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from mtvit_core.cli.result_files import FinishedList, JsonList, json_list


@pytest.mark.parametrize("entries", [[], [{"a": 1}], [{"a": 1}, {"b": [2]}]])
def test_a_list_comes_back(entries: list[object], tmp_path: Path) -> None:
    with json_list(tmp_path / "found.json") as written:
        for entry in entries:
            written.add(entry)
        assert not (tmp_path / "found.json").exists()
    assert json.loads((tmp_path / "found.json").read_text()) == entries
    assert len(list(tmp_path.iterdir())) == 1


def test_a_list_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(written: JsonList) -> None:
        written.add({"a": 1})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), json_list(tmp_path / "found.json") as written:
        interrupted(written)
    assert list(tmp_path.iterdir()) == []


def entry(name: str, objects: int, weight: int = 0) -> dict[str, Any]:
    return {"file_name": name, "objects": [{"score": 0.5}] * objects, "rle": "x" * weight}


def test_a_torn_line_is_cut_off_and_results_come_in_the_order_of_names(tmp_path: Path) -> None:
    left = tmp_path / "left.jsonl"
    first = FinishedList(left, {"min_score": 0.3})
    first.add(entry("b.jpg", 2))
    first.add(entry("ä.jpg", 1))
    with left.open("ab") as file:
        file.write(b'{"file_name": "c.jpg", "obj')
    again = FinishedList(left, {"min_score": 0.3})
    assert ("b.jpg" in again, "ä.jpg" in again, "c.jpg" in again) == (True, True, False)
    again.add(entry("a.jpg", 4))
    assert (len(again), again.objects) == (3, 7)
    again.end(tmp_path / "all.json", ["a.jpg", "b.jpg", "c.jpg", "ä.jpg"])
    written = json.loads((tmp_path / "all.json").read_text())
    assert written == [entry("a.jpg", 4), entry("b.jpg", 2), entry("ä.jpg", 1)]
    assert not left.exists()


def test_a_list_without_its_first_line_begins_anew(tmp_path: Path) -> None:
    left = tmp_path / "left.jsonl"
    left.write_text('{"min_sc')
    assert len(FinishedList(left, {"min_score": 0.3})) == 0
    assert left.read_text() == '{"min_score": 0.3}\n'


def test_memory_does_not_grow_with_what_was_found(tmp_path: Path) -> None:
    finished = FinishedList(tmp_path / "left.jsonl", {})
    tracemalloc.start()
    try:
        for i in range(300):
            finished.add(entry(f"{i}.jpg", 3, weight=20_000))
        again = FinishedList(tmp_path / "left.jsonl", {})
        again.end(tmp_path / "all.json", [f"{i}.jpg" for i in range(300)])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "all.json").stat().st_size > 300 * 20_000
    assert most < 1_500_000
