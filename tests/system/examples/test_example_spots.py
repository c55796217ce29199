"""The shortest example with queries: held to the contract, and trained beside det."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from mtvit_core.plugins import registry
from mtvit_core.testing import TaskSuite
from mtvit_train.cli.main import main as train_command
from support.commands.installed_example import installed


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example's task module."""
    with installed("spots", tmp_path_factory.mktemp("spots")) as module:
        yield module


@pytest.mark.usefixtures("spots")
class TestSpots(TaskSuite):
    """What its own test file holds."""

    task = "spots"


@pytest.mark.usefixtures("spots")
def test_spots_train_beside_det(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.installed_tasks()["spots"].distribution == "mtvit-spots"
    monkeypatch.chdir(tmp_path)
    settings = (
        "scenes.train=4", "scenes.val=2", "scenes.size=64", "train.batch_size=4", "train.steps=10",
        "train.lr=3e-3", "train.warmup=0", "train.log_every=1", "model.backbone=vit_tiny_patch16_224",
        "model.options={ embed_dim = 24, depth = 2, num_heads = 2 }", "model.image_size=[64, 64]",
        "tasks.det.queries=4", "train.device=cpu", "train.precision=fp32", "augment.enabled=false",
    )  # fmt: skip
    line = ["--plugins", "det,spots", "--out", "run"]
    done = CliRunner().invoke(train_command, [*line, *(word for s in settings for word in ("--set", s))])
    assert done.exit_code == 0, done.output
    records = [json.loads(text) for text in Path("run/metrics.jsonl").read_text().splitlines()]
    losses = [record["spots/box"] for record in records if record["kind"] == "train"]
    assert losses[-1] < 0.9 * losses[0]
    assert "spots/AP" in json.loads(Path("run/metrics.json").read_text())
