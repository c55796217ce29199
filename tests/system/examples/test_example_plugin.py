"""The example of docs/write-a-plugin.md, installed from its own wheel: found, trained beside det, right."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

import mtvit_core
from mtvit_core.model.trial import broken_plugins
from mtvit_core.plugins import registry
from mtvit_core.testing import TaskSuite
from mtvit_train.cli.main import main as train_command
from mtvit_train.scenes.scene import CATEGORIES
from support.commands.installed_example import installed

DOCS = Path(__file__).resolve().parents[3] / "docs"
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def presence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example's task module, installed from its wheel with all its metadata; its shapes are checked."""
    with installed("presence", tmp_path_factory.mktemp("presence")) as module:
        yield module


def test_the_example_is_found_by_its_entry_point(presence: ModuleType) -> None:
    found = registry.installed_tasks()["presence"]
    assert (found.distribution, found.entry_point) == ("mtvit-presence", "presence")
    assert found.cls is presence.Presence
    assert broken_plugins() == ()


@pytest.mark.usefixtures("presence")
def test_the_example_trains_beside_det(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ", ".join(f"{key} = {value}" for key, value in TINY.items())
    settings = (
        "scenes.train=2", "scenes.val=2", "scenes.size=64", "train.batch_size=2", "train.steps=1",
        "model.backbone=vit_tiny_patch16_224", f"model.options={{ {options} }}", "model.image_size=[64, 64]",
        "tasks.det.queries=4", "tasks.presence.hidden=8", "train.device=cpu", "train.precision=fp32",
    )  # fmt: skip
    line = ["--plugins", "det,presence", "--out", "runs/presence"]
    done = CliRunner().invoke(train_command, [*line, *(word for s in settings for word in ("--set", s))])
    assert done.exit_code == 0, done.output
    out = tmp_path / "runs" / "presence"
    assert {path.name for path in out.iterdir()} == run_folder()
    metrics = json.loads((out / "metrics.json").read_text())
    assert 0 < metrics["presence/AP"] <= 1
    (record,) = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()[:1])
    assert 0 < record["presence/class"] < 2
    (found, _) = mtvit_core.load(out / "model.safetensors", ["presence"]).predict(
        sorted(map(str, (out / "scenes" / "val2017").iterdir()))
    )
    assert len(found) == 0
    assert sorted(found.labels["presence"].names) == sorted(category["name"] for category in CATEGORIES)


@pytest.mark.usefixtures("presence")
class TestPresence(TaskSuite):
    """The example keeps what the test kit asks."""

    task = "presence"


def run_folder() -> set[str]:
    """Names that training.md lists for the folder of a run that went well."""
    _, _, text = (DOCS / "training.md").read_text(encoding="utf-8").partition("## The run folder")
    text, _, _ = text.partition("\n#")
    cells = re.findall(r"^\| (`[^|]+) \| (?!only where)", text, re.MULTILINE)
    return {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
