"""Checkpoints that two processes write: whole or absent, agreed by both, whatever the disk does to one."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtvit_train.state.atomic_folder import open_folder
from support.commands.processes import torchrun
from workers import part_worker

Told = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    done = torchrun(part_worker.__file__, str(out))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def told(out: Path) -> list[Told]:
    """What each process found."""
    return [json.loads((out / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def test_processes_agree_on_every_outcome(told: list[Told]) -> None:
    assert told[0] == told[1]
    assert all(one["left"] == [] for one in told[0].values())


def test_no_thread_outlives_the_group(out: Path) -> None:
    """One would free tensors of Python while the interpreter ends, which kills the process."""
    for rank in (0, 1):
        before, after = json.loads((out / f"threads-{rank}.json").read_text())
        assert before > 0
        assert after == 0


def test_the_last_ones_are_kept(told: list[Told]) -> None:
    assert told[0]["none"]["result"] is None
    assert [told[0][f"save {step}"]["steps"] for step in (5, 10, 15)] == [[5], [5, 10], [10, 15]]
    assert told[0]["save 15"]["whole"] == [10, 15]
    assert told[0]["newest"]["result"] == told[0]["newest"]["last"] == 15


@pytest.mark.parametrize("rank", [0, 1])
def test_a_disk_that_is_full_for_one_process_costs_no_checkpoint(
    rank: int, told: list[Told], out: Path
) -> None:
    failed = [one for name, one in told[0].items() if name.startswith(f"process {rank} has")]
    failed += [one for name, one in told[0].items() if name.endswith(f"of process {rank}")]
    assert len(failed) == (7 if rank == 0 else 4)
    who = "process 1: " if rank else ""
    for one in failed:
        assert one["result"] is False
        assert one["steps"] == one["whole"] == [10, 15]
        (line,) = one["said"]
        assert line.startswith(f"checkpoint {out}/checkpoints/step-00000020: cannot be written ({who}")
        assert line.endswith("; free some space or fix the disk. The last one is of step 15.")
        assert "No space left" in line or "File too large" in line


@pytest.mark.parametrize("how", ["cut", "changed", "missing", "without sum"])
def test_where_the_file_of_one_process_is_damaged_an_older_one_is_used(
    how: str, told: list[Told], out: Path
) -> None:
    found, again = told[0][how], told[0][f"again after {how}"]
    assert found["result"] == found["last"] == 15
    assert found["whole"] == [15]
    (line,) = found["said"]
    assert line.startswith(f"checkpoint {out}/checkpoints/step-00000020: ")
    torn = "state-1.safetensors is damaged: its checksum differs from that in SHA256SUMS. It is skipped."
    assert ("cannot be read ([Errno 2]" if how == "missing" else torn) in line
    assert again["result"] is True
    assert again["whole"] == [15, 20]


def test_all_torn_is_an_error_in_all(told: list[Told], out: Path) -> None:
    assert told[1]["all torn"]["result"] == (
        f"{out}/checkpoints: all 2 checkpoints are damaged; restore one, or remove the folder to start again "
        "from step 0."
    )


def test_each_process_writes_its_parts_and_one_alone_reads_all(out: Path) -> None:
    files = ["SHA256SUMS", "state-1.safetensors", "state.json", "state.safetensors"]
    assert sorted(path.name for path in (out / "kept").iterdir()) == files
    plain = json.loads((out / "kept" / "state.json").read_text())
    assert plain["model"]["w7"] == {"tensor": "model.w7", "rows": [0, 4, 7]}
    assert plain["model"]["w1"] == {"tensor": "model.w1", "rows": [0, 1, 1]}
    assert plain["random"]["torch"] == {"tensor": "random.torch"}
    sizes = [(out / "kept" / name).stat().st_size for name in files[1::2]]
    assert sizes == pytest.approx([40_000, 40_000], rel=0.02)
    assert part_worker.same(open_folder(out / "kept"), 20)
