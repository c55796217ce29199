"""The folder of all caches: its limit, what makes room in it, and what is in use."""

import os
from pathlib import Path

import pytest

from mtvit_core.errors import ConfigError
from mtvit_train.caching.room import CacheRoom


def fill(room: CacheRoom, key: str, age: int, size: int = 100) -> Path:
    folder = room.root / key
    folder.mkdir(parents=True)
    (folder / "000000.safetensors").write_bytes(bytes(size))
    os.utime(folder, (age, age))
    return folder


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    room = CacheRoom(tmp_path, 250)
    older, newer = fill(room, "a", age=2), fill(room, "b", age=3)
    oldest = fill(room, "c", age=1)
    held = room.take({"new": 100}, "")
    assert [older.exists(), newer.exists(), oldest.exists()] == [False, True, False]
    assert len(held) == 1
    room.take({"new": 100}, "")  # its own is no other
    assert newer.exists()


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    room = CacheRoom(tmp_path, 250)
    fill(room, "a", age=1, size=200)
    held = room.take({"a": 200}, "")
    with pytest.raises(ConfigError) as error:
        room.take({"b": 100}, "")
    assert str(error.value) == (
        f"cache {tmp_path}: 0.00 GB are needed, but other runs use 0.00 GB and cache.max_gb is 2.5e-07; "
        "raise it, or wait for them."
    )
    held[0].release()
    room.take({"b": 100}, "")
    assert not (tmp_path / "a").exists()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    room = CacheRoom(tmp_path, 250)
    left = fill(room, "a", age=1) / ".000000-12.partial"
    (left.parent / "34.lock").touch()
    left.touch()
    room.take({"a": 100}, "")
    assert not left.exists()
    assert len([*left.parent.glob("*.lock")]) == 1


def test_the_disk_has_to_have_room(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"GB are to be written, but the disk has [\d.]+ GB left; free some"
    ):
        CacheRoom(tmp_path, 10**30).take({"a": 10**20}, "")
