"""Training from Python, with a run that follows from its data and ends early."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import mtvit_core
import mtvit_train
from mtvit_core.errors import ConfigError
from mtvit_train.config.run import RunConfig
from mtvit_train.recording.terminal import Display
from mtvit_train.runs import early_stopping, run
from mtvit_train.runs.resume import resumed_settings
from mtvit_train.scenes.writer import write_scenes

TINY: dict[str, Any] = {
    "model": {
        "options": {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2},
        "pretrained": False,
    },
    "train": {
        "batch_size": 2,
        "log_every": 1,
        "evaluate_every": 1,
        "threads": 1,
        "precision": "fp32",
        "warmup": 0,
    },
    "tasks": {"det": {"queries": 6}},
    "records": {"worst": 1},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    return folder


@pytest.fixture(scope="module")
def trained(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> mtvit_train.Trained:
    """Two updates with recipe ``small``."""
    out = tmp_path_factory.mktemp("runs") / "first"
    return mtvit_train.train(scenes, ["det"], 2, out, config="small", quiet=True, **TINY)


def test_it_gives_model_metrics_and_folder(trained: mtvit_train.Trained, scenes: Path) -> None:
    (result,) = trained.model.predict([next((scenes / "val2017").iterdir())])
    assert isinstance(result, mtvit_core.ImageResult)
    kept = json.loads((trained.folder / "metrics.json").read_text())
    assert 0 <= trained.metrics["det/AP"] == kept["det/AP"] <= 1
    assert (trained.folder / "report.html").is_file()


def test_the_canvas_follows_from_the_images(trained: mtvit_train.Trained) -> None:
    assert trained.settings.model.image_size == trained.model.canvases["image"] == (64, 64)
    assert trained.settings.train.lr == 1e-3  # the recipe's, beside settings that were given


def test_a_run_ends_early_and_keeps_its_best_weights(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    monkeypatch.setattr(early_stopping, "score", lambda metrics: next(scores))
    settings = TINY | {"train": TINY["train"] | {"patience": 2, "checkpoint_every": 1}}
    done = mtvit_train.train(scenes, ["det"], 9, tmp_path / "run", config="small", **settings)
    assert "step 4: no better for 2 evaluations; training ends, and the best weights are kept." in (
        capsys.readouterr().out
    )
    records = [json.loads(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "eval"] == [1, 2, 3, 4]
    assert json.loads((done.folder / "metrics.json").read_text())["step"] == 2
    assert json.loads((done.folder / "finished.json").read_text())["step"] == 4


def test_a_long_run_on_a_cpu_says_what_it_costs(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "LONG_ON_A_CPU", 0.0)
    mtvit_train.train(scenes, ["det"], 3, tmp_path / "run", config="small", **TINY)
    told = capsys.readouterr().out
    assert "3 updates of 2 images at 64 x 64 take about 0.0 hours on this CPU" in told
    assert "--config small" not in told  # it is what runs


def test_a_large_canvas_is_told_of_the_recipe_for_small_data(capsys: pytest.CaptureFixture[str]) -> None:
    Display(Console(), 10_000).cost(RunConfig(), 22.0, 220_000.0)
    assert capsys.readouterr().out.replace("\n", " ").strip() == (
        "10000 updates of 16 images at 640 x 640 take about 61.1 hours on this CPU (22.0 s each). "
        "For small data, --config small takes minutes."
    )


def test_a_resumed_run_accepts_the_recipe_it_began_with(trained: mtvit_train.Trained) -> None:
    overrides = {"plugins": ("det",), "data": trained.settings.data, "out": str(trained.folder), "steps": 2}
    given = ("train.steps=0", "model.options={patch_size=16, embed_dim=24, depth=2, num_heads=2}")
    given += ("model.pretrained=false", "tasks.det.queries=6", "records.worst=1", "train.warmup=0")
    given += tuple(f"train.{name}={TINY['train'][name]!r}" for name in TINY["train"])
    assert resumed_settings("small", overrides, given) == trained.settings
    with pytest.raises(ConfigError, match=r"train.steps is 2 in its config.json, but 3 was asked for"):
        resumed_settings("small", overrides, (*given, "train.steps=3"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"plugins": "det,seg"}, r"plugins is 'det,seg'; give a list of tasks, as \['det', 'seg'\]\."),
        ({"trian": {"steps": 3}}, "trian is not a setting. Did you mean 'train'"),
        ({"config": "smal"}, "neither a file nor a recipe. Did you mean 'small'"),
        ({"steps": -1}, "train.steps is -1"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        mtvit_train.train(**{"out": tmp_path / "run", "quiet": True} | given)
    assert not (tmp_path / "run").exists()


def test_weights_are_those_of_the_command(trained: mtvit_train.Trained) -> None:
    saved = mtvit_core.load(trained.folder)
    assert all(
        torch.equal(one, other)
        for one, other in zip(trained.model.state_dict().values(), saved.state_dict().values(), strict=True)
    )
