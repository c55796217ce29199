"""The tiny data set, sound but for what doctor doubts of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.training import tiny_coco


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The tiny data set in both splits, with other pixels in the second."""
    root = tiny_coco.write(tmp_path / "data")
    shutil.copytree(root / "train2017", root / "val2017")
    for path in (root / "val2017").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path)).transpose(1, 0, 2)[::-1, ::-1]).rotate(
            90, expand=True
        ).save(path)
    for kind in ("instances", "person_keypoints"):
        (root / "annotations" / f"{kind}_val2017.json").write_text(
            (root / "annotations" / f"{kind}_train2017.json").read_text()
        )
    return root
