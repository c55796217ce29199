"""The command that doctor proposes: chosen from the data, timed here, and one that works."""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mtvit_train.build import data
from mtvit_train.build.fit_to_data import FEWEST_STEPS
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.runs import start_command as module
from mtvit_train.runs.start_command import Start, start_command
from mtvit_train.scenes.writer import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=3, val=2, seed=3, size=64)
    return folder


def started(scenes: Path, *given: str) -> Start:
    found = start_command(RunConfig(data=str(scenes)), scenes, given)
    assert found is not None
    return found


@pytest.mark.slow
def test_doctor_ends_with_a_command_that_trains(scenes: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--data", str(scenes)])
    command = next(line for line in done.output.splitlines() if line.startswith("  mtvit-train --config"))
    assert f"{FEWEST_STEPS} updates of 8 images" in done.output
    assert "canvas 64 x 64: the shape of the images" in done.output
    assert "on this machine: an update takes" in done.output
    given = [*shlex.split(command)[1:], "--steps", "1", "--out", str(tmp_path / "run")]
    trained = CliRunner().invoke(main, given)
    assert trained.exit_code == 0, trained.output


def test_small_objects_ask_for_more_patches_and_many_for_more_queries(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = data.read_split

    def crowded(*arguments: object, **named: object) -> PackedAnnotations:
        found = read(*arguments, **named)  # type: ignore[arg-type]
        first = np.array([0, 0, 0, found.instances])
        corners = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + 40], axis=1)
        return replace(found, first=first, boxes=corners, sizes=np.full_like(found.sizes, 960))

    monkeypatch.setattr(module, "read_split", crowded)
    monkeypatch.setattr(module, "_time_update", lambda config, packed: 0.5)
    found = started(scenes, "tasks.det.queries=2", "tasks.det.top_k=2")
    assert any("10% of the objects would be smaller than a patch" in reason for reason in found.reasons)
    assert "--set model.patches=" in found.command
    assert "--set tasks.det.queries=" in found.command
    assert "model.pretrained=true" in found.published


def test_doctor_says_why(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_time_update", lambda config, packed: 2.0)
    done = CliRunner().invoke(main, ["doctor", "--data", str(scenes)])
    command = next(line for line in done.output.splitlines() if line.startswith("  mtvit-train"))
    assert {"det", "seg", "pose"} <= set(command.split()[4].split(","))
    assert command.startswith("  mtvit-train --config small --plugins ")
    minutes = round(FEWEST_STEPS * 2.0 * module.BESIDE / 60)
    told = f"about {minutes} minutes on this machine: an update takes 2.00 s with 1 CPU thread\n"
    assert told in done.output


def test_without_labels_there_is_no_command(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed_tasks", dict)
    assert start_command(RunConfig(data=str(scenes)), scenes) is None
