"""The plugin that opens docs/write-a-plugin.md: installed and trained exactly as the page shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mtvit_core.cli.main import main
from mtvit_core.plugins import registry
from mtvit_core.testing import TaskSuite
from mtvit_train.cli.main import main as train_command
from support.commands.installed_example import EXAMPLES, unpacked

PAGE = EXAMPLES.parent / "write-a-plugin.md"


def blocks() -> tuple[str, str]:
    """The first two blocks of the page: the plugin, and its project file."""
    found = re.findall(r"^```(python|toml)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (first, plugin), (second, project) = found[:2]
    assert (first, second) == ("python", "toml")
    return plugin, project


@pytest.fixture(scope="module", autouse=True)
def tags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The plugin of the page, installed from its own wheel."""
    folder = tmp_path_factory.mktemp("tags")
    plugin, project = blocks()
    (folder / "tags.py").write_text(plugin)
    (folder / "pyproject.toml").write_text(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(unpacked(folder, folder / "built")))
        registry.registry.cache_clear()
        yield
    registry.registry.cache_clear()


def test_it_has_ten_lines() -> None:
    plugin, _ = blocks()
    assert len([line for line in plugin.splitlines() if line]) <= 10


class TestTags(TaskSuite):
    """It keeps the whole contract."""

    task = "tags"


def test_it_trains_beside_det_and_labels_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (
        "scenes.train=2", "scenes.val=2", "scenes.size=64", "train.batch_size=2", "train.steps=1",
        "model.backbone=vit_tiny_patch16_224", "model.options={ embed_dim = 24, depth = 2, num_heads = 2 }",
        "model.image_size=[64, 64]", "tasks.det.queries=4", "train.device=cpu", "train.precision=fp32",
    )  # fmt: skip
    line = ["--plugins", "det,tags", "--out", "run", *(word for s in settings for word in ("--set", s))]
    done = CliRunner().invoke(train_command, line)
    assert done.exit_code == 0, done.output
    assert 0 < json.loads(Path("run/metrics.json").read_text())["tags/AP"] <= 1
    line = ["predict", "run/model.safetensors", "run/scenes/val2017", "--out", "found", "--min-score", "0"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    images = json.loads(Path("found/predictions.json").read_text())
    assert [len(image["labels"]["tags"]) for image in images] == [8, 8]
