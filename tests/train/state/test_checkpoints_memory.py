"""What a checkpoint of shared out weights costs in memory: nothing beside the share, but for one tensor."""

import json
from pathlib import Path

import pytest

from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import torchrun
from workers import memory_worker

#: MiB that the system hands out in passing: buffers of files and of gloo, pages of the allocator.
PASSING = 12


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell")
def test_saving_and_loading_hold_the_share_and_one_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")  # what is let go is the system's at once
    write_scenes(tmp_path / "scenes", train=6, val=3, seed=3, size=64)
    done = torchrun(memory_worker.__file__, str(tmp_path / "scenes"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "memory.json").read_text())
    assert len(found) == 2
    for one in found:
        assert one["share"] == pytest.approx(one["whole"] / 2, rel=0.02)
        assert one["saving"] <= one["largest"] + PASSING < one["share"] / 4
        assert one["loading"] <= one["largest"] + PASSING
        assert one["mapped"] <= one["share"] + PASSING  # no rows of the other process were read
