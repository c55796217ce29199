"""Processes of their own that are killed: SIGKILL at a random moment, and a signal to one process of two."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtvit_train.scenes import write_scenes
from mtvit_train.stop import STOPPED
from resume_cases import arguments, differences, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=2, seed=3, size=64)
    return folder


def start(given: list[str], processes: int = 1) -> list[subprocess.Popen[str]]:
    """Start a run in so many processes, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    command = [sys.executable, "-m", "mtvit_train", *given]
    return [
        subprocess.Popen(
            command,
            env={**os.environ, "OMP_NUM_THREADS": "1", **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]


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
    (process,) = start([*arguments(scenes, out, "det", train__workers="1"), "--steps", "60"])
    wait_for(out / "metrics.jsonl", process)
    time.sleep(random.uniform(0, 1))
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = run("--out", str(out), "--resume")
    assert again.exit_code == 0, again.output
    assert differences(whole, out) == []


@pytest.mark.slow
def test_processes_stop_together_and_go_on(scenes: Path, tmp_path: Path) -> None:
    """A signal to the second of two processes stops both, in the same step."""
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    given = {"train__device": "cpu", "train__log_every": "2"}
    for process in start([*arguments(scenes, whole, "det,seg", **given), "--steps", "40"], 2):
        assert process.wait(timeout=240) == 0, process.communicate()[0]
    both = start([*arguments(scenes, out, "det,seg", **given), "--steps", "40"], 2)
    wait_for(out / "metrics.jsonl", both[0])
    both[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [STOPPED, STOPPED], said
    assert "stopped by a signal to another process; to go on from step " in said[0]
    assert "stopped" not in said[1]
    assert not (out / "finished.json").exists()
    for process in start(["--out", str(out), "--resume"], 2):
        assert process.wait(timeout=240) == 0, process.communicate()[0]
    assert differences(whole, out) == []
