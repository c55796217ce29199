"""Runs with ``train.parallel=fsdp`` that are stopped and go on, in as many processes or in another number."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import mtvit_core
from mtvit_train.cli.main import main
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.atomic_folder import open_folder
from mtvit_train.state.stored_tensors import Stored
from support.commands.processes import forked, torchrun
from support.training.resume_cases import arguments, differences, records
from workers import signal_worker

#: Two, three and one processes can share out its batch.
SETTINGS = {
    "train__parallel": "fsdp",
    "train__batch_size": "6",
    "train__evaluate_every": "0",
    "train__log_every": "1",
    "train__checkpoint_every": "3",
    "train__weighting": "uncertainty",
}
STEPS, STOPPED_AT = 6, 4


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded") / "scenes"
    write_scenes(folder, train=7, val=3, seed=3, size=64)
    return folder


def given(scenes: Path, out: Path) -> list[str]:
    # Drawn per process, and so another draw in another number of them.
    quiet = {"model__options": "{patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2}"}
    return [*arguments(scenes, out, "det,seg", **SETTINGS, **quiet), "--steps", str(STEPS)]


@pytest.fixture(scope="module")
def whole(scenes: Path) -> Path:
    """A run of two processes that nobody stops."""
    out = scenes.parent / "whole"
    done = forked("-m", "mtvit_train", *given(scenes, out))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def stopped(scenes: Path) -> Path:
    """The same run, of which the second process was signalled after an update."""
    out = scenes.parent / "stopped"
    done = forked(signal_worker.__file__, str(STOPPED_AT), *given(scenes, out))
    assert "to go on from step 4 of 6" in done.stdout, done.stderr
    # torchrun ends the other process once one has ended
    assert set(re.findall("threads of gloo left: (.*)", done.stdout)) == {"[]"}
    return out


def copy(folder: Path, name: str) -> Path:
    found = folder.with_name(name)
    shutil.copytree(folder, found)
    return found


def files_of(out: Path, step: int) -> dict[str, Any]:
    """What a checkpoint holds, file by file; Python's random numbers are drawn by the checks of shapes."""
    folder = out / "checkpoints" / f"step-{step:08d}"
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    found["state.json"] = json.loads((folder / "state.json").read_text())
    del found["state.json"]["random"]["python"]
    return found


def test_in_as_many_processes_it_is_the_run_that_was_not_stopped(whole: Path, stopped: Path) -> None:
    out = copy(stopped, "two")
    done = forked("-m", "mtvit_train", "--out", str(out), "--resume")
    assert done.returncode == 0, done.stderr
    assert f"resume {out}: going on from step 4 of 6." in done.stdout
    assert files_of(whole, STEPS).keys() == {"state.safetensors", "state-1.safetensors", "state.json"}
    assert files_of(out, STEPS) == files_of(whole, STEPS)
    assert differences(whole, out) == []
    assert mtvit_core.load(out / "model.safetensors").backbone.spec.depth == 2


def test_no_process_wrote_a_whole_weight(stopped: Path) -> None:
    state = open_folder(stopped / "checkpoints" / "step-00000004")
    weights = [*state["model"].values(), *state["average"].values()]
    weights += [entry["exp_avg"] for entry in state["optimizer"]["parts"][0].values()]
    assert len(weights) > 100
    assert all(isinstance(weight, Stored) and len(weight.bounds) == 3 for weight in weights if weight.shape)


def losses(out: Path) -> list[float]:
    return [record["loss"] for record in records(out) if record["kind"] == "train"]


def test_one_process_goes_on_with_the_run_of_two(whole: Path, stopped: Path) -> None:
    out = copy(stopped, "one")
    result = CliRunner().invoke(main, ["--out", str(out), "--resume"])
    assert result.exit_code == 0, result.output
    assert files_of(out, STEPS).keys() == {"state.safetensors", "state.json"}
    assert losses(out) == pytest.approx(losses(whole), rel=1e-5)


@pytest.mark.slow
def test_three_processes_go_on_with_the_run_of_two_and_two_with_that_of_three(
    whole: Path, stopped: Path
) -> None:
    out = copy(stopped, "three")
    done = torchrun(signal_worker.__file__, "5", "--out", str(out), "--resume", processes=3)
    assert "to go on from step 5 of 6" in done.stdout, done.stderr
    assert "state-2.safetensors" in files_of(out, 5)
    done = torchrun("-m", "mtvit_train", "--out", str(out), "--resume")
    assert done.returncode == 0, done.stderr
    assert losses(out) == pytest.approx(losses(whole), rel=1e-5)
