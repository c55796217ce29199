"""A list of results is on the disk whole or not at all."""

import json
from pathlib import Path

import pytest

from mtvit_core.cli.result_files import JsonList, json_list


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
