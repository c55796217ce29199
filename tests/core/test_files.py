"""Files are whole or absent: a writer that fails leaves the old file, and no litter."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtvit_core.files import whole_file, whole_folder, write_text


def content(folder: Path) -> dict[str, str]:
    """Text of each file below a folder; of folders nothing."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def half(place: Path, patch: pytest.MonkeyPatch) -> None:
    place.write_text("half a fi")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(place: Path, patch: pytest.MonkeyPatch) -> None:
    place.write_text("half a fi")
    raise KeyboardInterrupt


def unflushed(place: Path, patch: pytest.MonkeyPatch) -> None:
    """Some disks find out only then that they are full."""
    place.write_text("half a fi")

    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(os, "fsync", fsync)


def forgotten(place: Path, patch: pytest.MonkeyPatch) -> None:
    pass


FAILURES: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], type[BaseException]]] = {
    "full disk": (half, OSError),
    "interrupt": (interrupted, KeyboardInterrupt),
    "full when flushed": (unflushed, OSError),
    "nothing written": (forgotten, FileNotFoundError),
}


@pytest.mark.parametrize("before", [{}, {"a.json": "old"}], ids=["new", "there"])
@pytest.mark.parametrize("how", FAILURES)
def test_a_writer_that_fails_half_way_leaves_what_was_there(
    how: str, before: dict[str, str], tmp_path: Path
) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    write, error = FAILURES[how]
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(error),
        whole_file(tmp_path / "a.json") as place,
    ):
        write(place, patch)
    assert content(tmp_path) == before


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with whole_file(path) as place:
        place.write_text("new")
        assert path.read_text() == "old"
        assert place.suffix == ".json"
        assert place.name.startswith(".")
    assert content(tmp_path) == {"a.json": "new"}


def test_leftovers_of_a_killed_process_are_overwritten(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.tar.gz") as place:
        place.write_text("whole")
    place.write_text("half a fi")
    write_text(tmp_path / "a.tar.gz", "Größe")
    assert (tmp_path / "a.tar.gz").read_bytes() == "Größe".encode()
    assert len(content(tmp_path)) == 1


def test_the_disk_keeps_a_file_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    fsync = os.fsync

    def seen(number: int) -> None:
        kept.append((tmp_path / "a").exists())
        fsync(number)

    monkeypatch.setattr(os, "fsync", seen)
    write_text(tmp_path / "a", "whole")
    assert kept == [False]


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    (tmp_path / ".a.partial").mkdir()
    (tmp_path / ".a.partial" / "left").write_text("by a killed process")
    with whole_folder(tmp_path / "a") as place:
        (place / "sub").mkdir()
        (place / "sub" / "b").write_text("b")
        assert not (tmp_path / "a").exists()
    assert content(tmp_path) == {"a": "", "a/sub": "", "a/sub/b": "b"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_is_half_filled_goes(error: type[BaseException], tmp_path: Path) -> None:
    def fill(place: Path) -> None:
        (place / "b").write_text("b")
        raise error

    with pytest.raises(error), whole_folder(tmp_path / "a") as place:
        fill(place)
    assert content(tmp_path) == {}


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("old")
    with pytest.raises(OSError, match="a"), whole_folder(tmp_path / "a") as place:
        (place / "b").write_text("new")
    assert content(tmp_path) == {"a": "", "a/b": "old"}
