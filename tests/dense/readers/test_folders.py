"""Folders of images beside folders of labels: ids, 16-bit depth with a scale, normals as RGB."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_dense.readers.folders import Folders, FoldersConfig, MapTable
from mtvit_train.data.formats.plugin_reader import read_with


def write_folders(root: Path) -> None:
    """Two images; the second has no depth."""
    for split in ("train", "val"):
        for name in ("images", "ids", "range", "normals"):
            (root / name / split).mkdir(parents=True)
        for name in ("a", "b"):
            Image.new("RGB", (4, 3)).save(root / "images" / split / f"{name}.jpg")
            ids = np.array([[7, 8, 255, 7]] * 3, np.uint8)
            Image.fromarray(ids).save(root / "ids" / split / f"{name}.png")
            Image.new("RGB", (4, 3), (128, 128, 255)).save(root / "normals" / split / f"{name}.png")
        Image.fromarray(np.full((3, 4), 1500, np.uint16)).save(root / "range" / split / "a.png")


CONFIG = FoldersConfig(
    maps={
        "semantic": MapTable(
            folder="ids/{split}", kind="classes", classes=("road", "car"), ids=(7, 8), ignore=(255,)
        ),
        "depth": MapTable(folder="range/{split}", kind="numbers", scale=0.001),
        "normals": MapTable(folder="normals/{split}", kind="directions"),
    }
)


def test_every_kind_of_label_is_read_where_it_is(tmp_path: Path) -> None:
    write_folders(tmp_path)
    packed = read_with(Folders(CONFIG), tmp_path, "val")
    assert [category.name for category in packed.categories] == ["road", "car"]
    assert [set(packed.image(i).has) for i in (0, 1)] == [
        {"semantic", "depth", "normals"},
        {"semantic", "normals"},
    ]
    found = packed.dense(0, {"semantic", "depth", "normals"})
    np.testing.assert_array_equal(found["semantic"], [[0, 1, np.nan, 0]] * 3)
    np.testing.assert_allclose(found["depth"], 1.5)
    np.testing.assert_allclose(found["normals"][2], 1, atol=1e-4)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Folders(FoldersConfig()).split(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}: no dense label is named; give [readers.folders.maps.<label>] with folder and kind."
    )
    with pytest.raises(DataError) as caught:
        Folders(CONFIG).split(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}/images/train: no such folder; it should hold the images of a split."
    )
