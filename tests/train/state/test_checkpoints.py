"""Checkpoints are whole or absent: torn files, a full disk at any byte, what is kept, what is refused."""

import errno
import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from mtvit_core.errors import CheckpointError
from mtvit_train.state.atomic_folder import DiskError, read_folder, write_folder, writing
from mtvit_train.state.checkpoints import Checkpoints
from mtvit_train.state.state_tree import read, split


def state(step: int) -> dict[str, Any]:
    """About 90 kB."""
    weights = torch.arange(20_000, dtype=torch.float32) + step
    return {
        "step": step,
        "model": {"w": weights, "part": weights[5:9]},
        "nested": [1, (2.5, None), frozenset("ba")],
    }


def same(found: dict[str, Any] | None, step: int) -> bool:
    assert found is not None
    (ours, plain), (theirs, rest) = split(read(found)), split(state(step))
    return plain == rest and all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    write_folder(tmp_path / "state", state(7))
    found = read_folder(tmp_path / "state")
    assert same(found, 7)
    assert found["nested"] == [1, (2.5, None), frozenset("ab")]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "SHA256SUMS",
        "state",
        "state.json",
        "state.safetensors",
    ]


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    import hashlib

    write_folder(tmp_path / "state", state(0))
    lines = (tmp_path / "state" / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        value, name = line.split("  ")
        assert value == hashlib.sha256((tmp_path / "state" / name).read_bytes()).hexdigest()
    assert len(lines) == 2


def checkpoints(out: Path, steps: list[int], keep: int = 2) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    made = Checkpoints(out, keep, said.append)
    for step in steps:
        assert made.save(step, state(step))
    return made, said


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5, 10, 15, 20], keep=3)
    assert made.steps() == [10, 15, 20]
    assert made.last == 20
    assert same(made.newest(), 20)
    assert said == []


def test_none_at_all_is_a_start(tmp_path: Path) -> None:
    assert checkpoints(tmp_path, [])[0].newest() is None


def damage(folder: Path, how: str) -> str:
    """Damage a checkpoint; return what is said of it."""
    file = folder / ("state.json" if how == "changed" else "state.safetensors")
    content = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
        return "cannot be read ("
    return f"{file.name} is damaged: its checksum differs from that in SHA256SUMS."


@pytest.mark.parametrize("how", ["cut", "changed", "missing"])
def test_the_newest_whole_one_is_used(how: str, tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5, 10])
    words = damage(made.path(10), how)
    assert same(made.newest(), 5)
    assert made.last == 5
    assert len(said) == 1
    assert said[0].startswith(f"checkpoint {made.path(10)}: ")
    assert words in said[0]
    assert said[0].endswith(" It is skipped.")
    assert made.save(8, state(8))  # the torn one of a later step goes
    assert made.steps() == [5, 8]
    assert made.save(10, state(10))
    assert same(made.newest(), 10)


def test_sums_that_lack_a_file_are_no_proof(tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5, 10])
    sums = made.path(10) / "SHA256SUMS"
    sums.write_text(sums.read_text().splitlines(keepends=True)[0])
    assert same(made.newest(), 5)
    assert "state.json is damaged" in said[0]


def test_a_torn_one_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    made, _ = checkpoints(tmp_path, [5, 10])
    damage(made.path(10), "cut")
    made.newest()
    assert made.save(10, state(10))
    assert same(made.newest(), 10)


def test_all_torn_is_an_error(tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5, 10])
    for step in (5, 10):
        damage(made.path(step), "cut")
    with pytest.raises(CheckpointError) as error:
        made.newest()
    assert str(error.value) == (
        f"{tmp_path / 'checkpoints'}: all 2 checkpoints are damaged; restore one, or remove the folder "
        "to start again from step 0."
    )
    assert len(said) == 2


def test_leftovers_of_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5])
    for name in (".step-00000010.partial", ".step-00000002.removed"):
        (made.folder / name).mkdir()
        (made.folder / name / "state.json").write_text("{")
    assert same(made.newest(), 5)
    assert [path.name for path in made.folder.iterdir()] == ["step-00000005"]
    assert said == []


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let the system refuse to write past so many bytes of any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_no_checkpoint(tmp_path: Path) -> None:
    made, said = checkpoints(tmp_path, [5, 10])
    draw = random.Random(0)
    sizes = [0, *(draw.randrange(100_000) for _ in range(25))]
    whole = len(safe_bytes(made.path(10)))
    failed = 0
    for number, size in enumerate(sizes):
        step = 11 + number
        with files_end_at(size):
            saved = made.save(step, state(step))
        assert saved == (size >= whole)
        if saved:
            made.save(step + 100, state(step + 100))
            continue
        failed += 1
        assert made.steps() == made.steps()
        assert len(made.steps()) == 2
        assert all(same(read_folder(made.path(kept)), kept) for kept in made.steps())
        assert [path.name for path in made.folder.iterdir() if path.name.startswith(".")] == []
        assert said[-1].startswith(f"checkpoint {made.path(step)}: cannot be written (")
        assert said[-1].endswith(f"; free some space or fix the disk. The last one is of step {made.last}.")
    assert failed > 15


def safe_bytes(folder: Path) -> bytes:
    """The largest file of a checkpoint."""
    return max((path.read_bytes() for path in folder.iterdir()), key=len)


@pytest.mark.parametrize("call", range(1, 6))
def test_a_disk_that_is_full_when_files_are_flushed(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems find out only then."""
    made, said = checkpoints(tmp_path, [5, 10])
    original, count = os.fsync, iter(range(1, 100))

    def fsync(number: int) -> None:
        if next(count) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(number)

    monkeypatch.setattr(os, "fsync", fsync)
    saved = made.save(15, state(15))
    monkeypatch.undo()
    assert not saved
    assert "cannot be written ([Errno 28] No space left on device)" in said[0]
    assert same(read_folder(made.path(10)), 10)
    assert same(read_folder(made.path(5)), 5)


def test_writing_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as error, writing(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(error.value) == (
        f"out {tmp_path}: cannot be written to ([Errno 28] No space left on device); free some space or fix "
        f"the disk, then resume with: mtvit-train --out {tmp_path} --resume"
    )
