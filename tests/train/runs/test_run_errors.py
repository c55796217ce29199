"""What a run refuses, in one line each, before it makes anything."""

from pathlib import Path

import pytest

from support.training.run_cases import SMALL, train


def test_a_run_asks_for_packages_before_it_makes_anything(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtvit_train.recording.trackers.find_spec", lambda name: None)
    out = tmp_path / "out"
    result = train("--data", str(scenes), "--out", str(out), settings=[*SMALL, "records.tensorboard=true"])
    assert result.exit_code == 2
    assert (
        "config: records.tensorboard is true, but the package 'tensorboard' is not installed" in result.output
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("data='nowhere'", "nowhere"),
        ("model.backbone=vit_giraffe", "vit_giraffe"),
        ("model.start=nowhere.safetensors", "nowhere.safetensors"),
        ("train.accumulate=3", "cannot share out evenly"),
        ("train.device=cuda:99", "cuda:99"),
    ],
)
def test_a_run_that_cannot_begin_leaves_nothing_behind(
    mistake: str, words: str, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = ["--plugins", "det", "--out", str(out), "--steps", "1", "--set", f"data='{scenes}'"]
    result = train(*line, settings=[*SMALL, mistake])
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert words in result.output
    assert not out.exists()


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_cannot_begin_takes_its_scenes_with_it(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    scenes = ["scenes.train=2", "scenes.val=1", "scenes.size=64"]
    result = train("--plugins", "det", "--out", str(out), settings=[*scenes, "model.backbone=vit_giraffe"])
    assert result.exit_code == 2, result.output
    assert "vit_giraffe" in result.output
    assert out.is_dir() == there
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("arguments", "setting", "message"),
    [
        (["--plugins", "dett"], "", "dett"),
        (["--config", "scenes-dem"], "", "neither a file nor a recipe. Did you mean 'scenes-demo'?"),
        ([], "train.stepps=3", "config: train.stepps is not a setting. Did you mean 'steps'?"),
        ([], "train.lr=-1", "config: train.lr is -1: input should be greater than 0."),
        ([], "model.image_size=[60, 64]", "60 x 64 pixels is not a multiple of the patch, 16 x 16"),
        ([], "model.pretrained=absent.safetensors", "absent.safetensors"),
        ([], "tasks.dte.queries=3", "config: tasks.dte is not an installed task"),
        ([], "tasks.det.querys=3", "config: tasks.det.querys is not a setting. Did you mean 'queries'?"),
        ([], "train", "--set 'train': not an assignment; write a.b=value"),
    ],
)
def test_bad_settings_are_one_line_and_exit_2(
    arguments: list[str], setting: str, message: str, scenes: Path, tmp_path: Path
) -> None:
    settings = [*SMALL, *([setting] if setting else [])]
    result = train("--data", str(scenes), "--out", str(tmp_path / "out"), *arguments, settings=settings)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--plugins", "dett"], ["--set", "tasks.det.querys=3"]])
def test_wrong_tasks_are_refused_before_anything_is_made(
    words: list[str], scenes: Path, tmp_path: Path
) -> None:
    result = train("--data", str(scenes), "--out", str(tmp_path / "out"), *words)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_missing_data_folder_is_refused(tmp_path: Path) -> None:
    result = train("--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert f"{tmp_path / 'nowhere'}: no such data folder; check the path." in result.output
