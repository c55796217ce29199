"""The dense example: found, held to the contract, trained beside det on depth of scenes, written to files."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

from mtvit_core.cli.main import main as mtvit
from mtvit_core.plugins import registry
from mtvit_train.cli.main import main as train_command
from support.commands.installed_example import EXAMPLES, installed

SPEC = importlib.util.spec_from_file_location(
    "distance_kit_tests", EXAMPLES / "mtvit-distance" / "tests" / "test_distance.py"
)
assert SPEC is not None
assert SPEC.loader is not None
own_tests = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(own_tests)


@pytest.fixture(scope="module")
def distance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example's task module."""
    with installed("distance", tmp_path_factory.mktemp("distance")) as module:
        yield module


@pytest.mark.usefixtures("distance")
class TestDistance(own_tests.TestDistance):
    """The example passes its own tests."""


@pytest.mark.usefixtures("distance")
def test_distance_learns_beside_det_and_is_written_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.installed_tasks()["distance"].distribution == "mtvit-distance"
    monkeypatch.chdir(tmp_path)
    settings = (
        "scenes.train=4", "scenes.val=2", "scenes.size=64", "train.batch_size=4", "train.steps=12",
        "train.lr=3e-3", "train.warmup=0", "train.log_every=1", "model.backbone=vit_tiny_patch16_224",
        "model.options={ embed_dim = 24, depth = 2, num_heads = 2 }", "model.image_size=[64, 64]",
        "tasks.det.queries=4", "train.device=cpu", "train.precision=fp32", "augment.enabled=false",
    )  # fmt: skip
    line = ["--plugins", "det,distance", "--out", "run"]
    done = CliRunner().invoke(train_command, [*line, *(word for s in settings for word in ("--set", s))])
    assert done.exit_code == 0, done.output
    records = [json.loads(text) for text in Path("run/metrics.jsonl").read_text().splitlines()]
    losses = [record["distance/l1"] for record in records if record["kind"] == "train"]
    assert losses[-1] < 0.7 * losses[0]
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert 0 < metrics["distance/MAE"] < 0.5
    assert 0 <= metrics["distance/delta1"] <= 1

    (spread,) = json.loads(Path("run/details.json").read_text())["distance"]["charts"]
    (line,) = spread["lines"]
    assert (spread["title"], line["x"]) == ("Error of the images", [0.5, 1.0])
    assert sum(line["y"]) / 2 == pytest.approx(metrics["distance/MAE"], rel=1e-4)  # images of one size
    page = Path("run/report.html").read_text()
    assert page.count("Error of the images") == 2  # as a heading, and to be read aloud
    assert 'id="task-distance"' in page

    arguments = ["predict", "run/model.safetensors", "run/scenes/val2017", "--out", "found"]
    done = CliRunner().invoke(mtvit, arguments)
    assert done.exit_code == 0, done.output
    written = np.load("found/000000000001.distance.npy")
    assert (written.shape, written.dtype) == ((1, 64, 64), np.float32)
    assert 0 < written.mean() < 1.2
