"""Tasks that each have a data set of their own, in one run: classes of images, objects, classes of pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mtvit_core
from mtvit_train.cli.main import main
from mtvit_train.scenes.writer import write_scenes

SETTINGS = """
plugins = ["cls", "det", "semantic"]
readers.folders.maps.semantic = { folder = "ids/{split}", kind = "classes", classes = ["road", "car"] }

[[data]]
path = "ROOT/photos"
reader = "class_folders"

[[data]]
path = "ROOT/objects"
labels = ["boxes"]

[[data]]
path = "ROOT/streets"
reader = "folders"

[model]
backbone = "BACKBONE"
options = { patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2 OPTIONS }
image_size = [64, 64]

[train]
steps = 6
batch_size = 6
warmup = 2
log_every = 3
threads = 1

[tasks.det]
queries = 5
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos by day and by night, scenes, and streets."""
    root, stream = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    write_scenes(root / "objects", train=6, val=3, seed=0, size=64)

    def draw(path: Path, least: int, most: int, *shape: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stream.integers(least, most, shape).astype(np.uint8)).save(path)

    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            draw(root / "photos" / split / "day" / f"{i}.png", 100, 250, 48, 64, 3)
            draw(root / "photos" / split / "night" / f"{i}.png", 0, 80, 48, 64, 3)
            draw(root / "streets" / "images" / split / f"{i}.png", 0, 256, 64, 64, 3)
            draw(root / "streets" / "ids" / split / f"{i}.png", 0, 2, 64, 64)
    return root


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("vit_tiny_patch16_224", ""),
        (
            "branched:vit_tiny_patch16_224",
            ', tasks = "cls,det,semantic", gates = "cls: 1.all; semantic: 1.fc2"',
        ),
    ],
)
def test_one_run_learns_each_task_from_its_data(
    backbone: str, options: str, root: Path, tmp_path: Path
) -> None:
    text = SETTINGS.replace("ROOT", str(root)).replace("BACKBONE", backbone).replace("OPTIONS", options)
    (tmp_path / "run.toml").write_text(text)
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["--config", str(tmp_path / "run.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    seen = [one for one in json.loads((out / "data.json").read_text())["seen"] if one["samples"]]
    assert {one["task"]: one["data"] for one in seen} == {
        "cls": "photos",
        "det": "objects",
        "semantic": "streets",
    }
    metrics = json.loads((out / "metrics.json").read_text())
    for metric in ("cls/top1", "det/AP", "semantic/mIoU"):
        assert 0 <= metrics[metric] <= 1, metric
    model = mtvit_core.load(out)
    objects = json.loads((root / "objects" / "annotations" / "instances_train2017.json").read_text())
    assert [c.name for c in model.categories] == [c["name"] for c in objects["categories"]]
    assert [c.name for c in model.categories.images] == ["day", "night"]
    (result,) = model.predict([root / "photos" / "val" / "day" / "0.png"])
    assert result is not None
