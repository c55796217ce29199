"""The README's example as it stands there: a folder as a stream, supervision's annotators, COCO's results."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.structures.image_files import image_size


def example(root: Path) -> str:
    """The Python lines of the README that predict."""
    blocks = re.findall(r"^```python\n(.+?)^```$", (root / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "predict_stream" in block]
    return code


@pytest.mark.filterwarnings("ignore:OpenCV")  # supervision does without it, and says so
def test_the_example_of_the_readme(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = example(root)
    assert len(list(filter(None, code.splitlines()))) == 8
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, {"det": {"queries": 6}, "seg": {"queries": 6}})
    for name in ("det", "seg"):
        model.modules_of(name).tokens[name].score.bias.data.fill_(2.0)  # so that something is found
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    mtvit_core.save(model, tmp_path / "runs" / "first" / "model.safetensors")
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (80, 60), "teal").save(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    entries = json.loads((tmp_path / "coco.json").read_text())
    assert {entry["image_id"] for entry in entries} == {0, 1}
    assert all(image_size(tmp_path / f"found-{i}.png") == (60, 80) for i in (0, 1))
