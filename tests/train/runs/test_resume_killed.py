"""A run in a process of its own that is killed by SIGKILL at a random moment."""

import random
import signal
import time
from pathlib import Path

import pytest

from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import Forked
from support.training.resume_cases import arguments, differences, run

#: Updates of the run; it leaves two lines of records per eight of them, and one more in each evaluation.
STEPS = 24
#: Lines of records after which it is killed at the latest, with six updates to go.
LATEST = 8


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=2, seed=3, size=64)
    return folder


def wait_for(lines: int, path: Path, killed: Forked) -> None:
    """Wait until a run has recorded so much."""
    until = time.monotonic() + 120
    while not path.is_file() or path.read_text().count("\n") < lines:
        assert killed.process.is_alive(), killed.ended()
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_killed_run_goes_on(scenes: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "killed"
    more = ["--steps", str(STEPS), "--set", "train.evaluate_every=8"]
    assert run(*arguments(scenes, whole, "det"), *more).exit_code == 0
    killed = Forked(["-m", "mtvit_train", *arguments(scenes, out, "det", train__workers="1"), *more])
    wait_for(random.randint(1, LATEST), out / "metrics.jsonl", killed)
    time.sleep(random.uniform(0, 0.05))
    killed.process.kill()
    assert killed.ended().returncode == -signal.SIGKILL
    again = run("--out", str(out), "--resume")
    assert again.exit_code == 0, again.output
    assert differences(whole, out) == []
