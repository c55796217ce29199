"""What --resume refuses, in one line each; and how a run meets a full disk."""

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from mtvit_train.__about__ import __version__
from mtvit_train.engine.trainer import Trainer
from mtvit_train.recording.records import Records
from mtvit_train.scenes.writer import write_scenes
from support.training.resume_cases import arguments, differences, records, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    return folder


@pytest.fixture
def stopped(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that has a checkpoint of step 2 of 3, and was not finished."""
    out = tmp_path / "stopped"
    update = Trainer.update

    def updating(self: Trainer[Any], *given: Any) -> Any:
        found = update(self, *given)
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(Trainer, "update", updating)
    result = run(*arguments(scenes, out, "det", train__evaluate_every="0"), "--steps", "3")
    monkeypatch.undo()
    assert result.exit_code == 75, result.output
    return out


def refused(*given: str) -> str:
    result = run(*given, "--resume")
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    return result.output.strip().splitlines()[-1]


def test_options_that_contradict_are_refused(stopped: Path) -> None:
    assert refused("--out", str(stopped), "--set", "train.lr=0.5") == (
        f"error: resume {stopped}: train.lr is 0.0002 in its config.json, but 0.5 was asked for; leave "
        "the option out, or start another run."
    )
    assert "plugins is ['det'] in its config.json, but ['seg'] was asked for" in refused(
        "--out", str(stopped), "--plugins", "seg"
    )
    assert "train.steps is 3" in refused("--out", str(stopped), "--steps", "9")
    assert "but 'scenes' was asked for" in refused("--out", str(stopped), "--config", "scenes-demo")


def test_options_that_agree_are_not(stopped: Path) -> None:
    result = run(
        "--out", str(stopped), "--resume", "--plugins", "det", "--steps", "3", "--set", "train.workers=0"
    )
    assert result.exit_code == 0, result.output


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    assert refused("--out", str(tmp_path)) == (
        f"error: resume {tmp_path}: holds no run, since it has no config.json; start one without --resume."
    )


def test_a_damaged_config_is_refused(stopped: Path) -> None:
    (stopped / "config.json").write_text('{"plugins": ')
    assert f"resume {stopped}: config.json is damaged (" in refused("--out", str(stopped))


def test_a_changed_config_is_refused(stopped: Path) -> None:
    config = json.loads((stopped / "config.json").read_text())
    config["train"]["lr"] = 0.5
    (stopped / "config.json").write_text(json.dumps(config))
    assert refused("--out", str(stopped)) == (
        f"error: resume {stopped}: train.lr was 0.0002 when its checkpoint was written and is 0.5 in "
        "config.json; change it back, or start another run."
    )


def test_other_versions_are_told(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtvit_train.runs.resume.__version__", "9.0.0")
    result = run("--out", str(stopped), "--resume")
    assert result.exit_code == 0
    assert (
        f"resume {stopped}: mtvit was {__version__} when its checkpoint was written and is 9.0.0, so "
        "the results may not be bit for bit those of a run without a stop."
    ) in result.output


def test_weights_that_do_not_fit_are_refused(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*given: Any) -> None:
        raise RuntimeError("Error(s) in loading state_dict for MultiTaskViT:\n\tMissing key(s)")

    monkeypatch.setattr("mtvit_train.engine.trainer.Trainer.load_state_dict", load)
    assert refused("--out", str(stopped)).startswith("resume") is False
    assert (
        "does not fit the model (Error(s) in loading state_dict for MultiTaskViT:)"
        in run("--out", str(stopped), "--resume").output
    )


def test_a_full_disk_ends_a_run_that_can_go_on(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "full"
    assert run(*arguments(scenes, whole, "det"), "--steps", "6").exit_code == 0
    add = Records.add

    def full(self: Records, kind: str, step: int, values: dict[str, float]) -> None:
        if step == 6:
            with self.path.open("a") as file:
                file.write('{"kind": "tr')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        add(self, kind, step, values)

    monkeypatch.setattr(Records, "add", full)
    result = run(*arguments(scenes, out, "det"), "--steps", "6")
    monkeypatch.undo()
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith(f"error: out {out}: cannot be written to ([Errno 28]")
    again = run("--out", str(out), "--resume")
    assert "going on from step 3 of 6" in again.output
    assert differences(whole, out) == []
    assert len(records(out)) == 4


def test_a_damaged_image_met_late_saves_the_run_which_goes_on_once_it_is_mended(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is damaged after the second update; nothing that was learnt before is lost."""
    data, out = tmp_path / "scenes", tmp_path / "run"
    shutil.copytree(scenes, data)
    sound = {path: path.read_bytes() for path in (data / "train2017").iterdir()}
    update = Trainer.update

    def updating(self: Trainer[Any], *given: Any) -> Any:
        found = update(self, *given)
        if self.step == 2:
            for path, content in sound.items():
                path.write_bytes(content[: len(content) // 2])
        return found

    monkeypatch.setattr(Trainer, "update", updating)
    given = arguments(data, out, "det", train__evaluate_every="0", train__cache_mb="0")
    result = run(*given, "--steps", "4")
    monkeypatch.undo()
    assert result.exit_code == 2, result.output
    line = result.output.strip().splitlines()[-1]
    assert line.startswith(f"error: step 2 of 4: {data / 'train2017'}")
    assert line.endswith(
        f"The run is saved at step 2; fix the data, then go on: mtvit-train --out {out} --resume"
    )
    for path, content in sound.items():
        path.write_bytes(content)
    resumed = run("--out", str(out), "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "going on from step 2 of 4." in resumed.output
