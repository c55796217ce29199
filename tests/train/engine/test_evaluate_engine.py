"""The engine that the settings name is the one that counts, in runs and in ``mtvit evaluate``."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mtvit_core.cli.main import main as mtvit
from mtvit_train.cli.main import main
from mtvit_train.scenes.writer import write_scenes

SMALL = [
    "model.backbone=vit_tiny_patch16_224",
    "model.options={patch_size=16, embed_dim=24, depth=1, num_heads=2}",
    "model.image_size=[64, 64]",
    "train.batch_size=2",
    "train.threads=1",
    "tasks.det.queries=6",
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=2, val=3, seed=3, size=64)
    return folder


@pytest.fixture
def without_hotcoco(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hotcoco", None)


def train(scenes: Path, out: Path, *settings: str) -> Result:
    sets = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    options = ["--plugins", "det", "--data", str(scenes), "--out", str(out), "--steps", "1"]
    return CliRunner().invoke(main, [*options, *sets])


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    result = train(scenes, out)
    assert result.exit_code == 0, result.output
    return out


def evaluate(finished: Path, scenes: Path, out: Path, *more: str) -> Result:
    command = ["evaluate", str(finished / "model.safetensors"), "--data", str(scenes), "--out", str(out)]
    return CliRunner().invoke(mtvit, [*command, *more])


def test_a_run_by_pycocotools_needs_no_hotcoco(
    finished: Path, scenes: Path, tmp_path: Path, without_hotcoco: None
) -> None:
    result = train(scenes, tmp_path / "out", "evaluation.engine=pycocotools")
    assert result.exit_code == 0, result.output
    for name in ("metrics.json", "details.json"):
        assert (tmp_path / "out" / name).read_text() == (finished / name).read_text()


def test_hotcoco_counts_where_nothing_else_is_asked_for(
    finished: Path, scenes: Path, tmp_path: Path, without_hotcoco: None
) -> None:
    assert isinstance(evaluate(finished, scenes, tmp_path / "a.json").exception, ModuleNotFoundError)


def test_evaluate_takes_the_engine_of_its_option_or_of_its_settings(
    finished: Path, scenes: Path, tmp_path: Path, without_hotcoco: None
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[evaluation]\nengine = "pycocotools"\n')
    expected = json.loads((finished / "metrics.json").read_text())
    for more in (("--engine", "pycocotools"), ("--config", str(settings))):
        out = tmp_path / f"{more[0].strip('-')}.json"
        result = evaluate(finished, scenes, out, *more)
        assert result.exit_code == 0, result.output
        assert expected.items() >= json.loads(out.read_text()).items()


def test_an_engine_that_there_is_not_is_refused(finished: Path, scenes: Path, tmp_path: Path) -> None:
    result = evaluate(finished, scenes, tmp_path / "out.json", "--engine", "cocoapi")
    assert result.exit_code == 2
    assert (
        "config: evaluation.engine is 'cocoapi': input should be 'hotcoco' or 'pycocotools'." in result.output
    )
