"""A run in a process of its own that is killed by SIGKILL at a random moment."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtvit_train.scenes.writer import write_scenes
from support.resume_cases import arguments, differences, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=2, seed=3, size=64)
    return folder


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run has recorded something."""
    until = time.monotonic() + 120
    while not path.is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_killed_run_goes_on(scenes: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert run(*arguments(scenes, whole, "det"), "--steps", "60").exit_code == 0
    given = [*arguments(scenes, out, "det", train__workers="1"), "--steps", "60"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mtvit_train", *given],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(out / "metrics.jsonl", process)
    time.sleep(random.uniform(0, 1))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = run("--out", str(out), "--resume")
    assert again.exit_code == 0, again.output
    assert differences(whole, out) == []
