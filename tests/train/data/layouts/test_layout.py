"""Layouts are found by the files of a folder, told in one line, and overruled by settings."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mtvit_core.errors import DataError
from mtvit_train.build.data import read_data
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from mtvit_train.data.formats.coco_share import split_by_share
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.layouts.layout import find_layout
from support.training import tiny_coco


def put(root: Path, document: str, images: str) -> Path:
    """Write the tiny data set under other names; all images lie in one folder."""
    source = tiny_coco.write(root.parent / "source")
    files: dict[str, Any] = tiny_coco.documents()["instances"]
    (root / document).parent.mkdir(parents=True, exist_ok=True)
    (root / document).write_text(json.dumps(files))
    shutil.copytree(source / "train2017", root / images, dirs_exist_ok=True)
    return root


def test_coco_s_own_layout_is_read_without_a_word(tmp_path: Path) -> None:
    assert find_layout(tiny_coco.write(tmp_path), CocoConfig()).line == ""


def test_roboflow_s_export_is_found(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for split in ("train", "valid"):
        put(root, f"{split}/_annotations.coco.json", split)
    found = find_layout(root, CocoConfig())
    assert found.line == (
        f"{root}: Roboflow's COCO export, read with coco.train='train', coco.val='valid', "
        "coco.images='{split}', coco.instances='{split}/_annotations.coco.json', coco.keypoints=''."
    )
    assert read_coco(root, "val", found.coco).folder == root / "valid"


@pytest.mark.parametrize("images", ["images", "images/default"])
def test_cvat_s_export_is_found_and_split(tmp_path: Path, images: str) -> None:
    root = put(tmp_path / "data", "annotations/instances_default.json", images)
    config = RunConfig(plugins=("det",), data=str(root))
    data = read_data(config, root)
    assert len(data.train) == 2
    assert len(data.val) == 1
    assert data.notes[0].startswith(f"{root}: CVAT's COCO export, read with coco.train='default'")
    assert data.notes[0].endswith("val is 0.2 of its images (coco.val_share, coco.val_seed).")


@pytest.mark.parametrize(
    ("document", "images"), [("result.json", "images"), ("annotations/all.json", "pictures"), ("x.json", "")]
)
def test_one_file_and_its_images_are_found(tmp_path: Path, document: str, images: str) -> None:
    root = put(tmp_path / "data", document, images)
    found = find_layout(root, CocoConfig(val_share=0.4))
    assert (found.coco.instances, found.coco.images, found.coco.val_share) == (document, images, 0.4)
    ids = [set(read_coco(root, split, found.coco).image_ids.tolist()) for split in ("train", "val")]
    assert ids[0] | ids[1] == {3, 7, 9}
    assert not ids[0] & ids[1]


def test_settings_overrule_what_is_found(tmp_path: Path) -> None:
    root = put(tmp_path / "data", "annotations/instances_default.json", "images")
    own = CocoConfig(train="default", val="default", images="images", keypoints="")
    assert find_layout(root, own).coco is own


def test_two_layouts_in_one_folder_are_named(tmp_path: Path) -> None:
    root = put(tmp_path / "data", "annotations/instances_default.json", "images")
    put(root, "train/_annotations.coco.json", "train")
    with pytest.raises(DataError, match=r"may be Roboflow's COCO export or CVAT's COCO export; say which"):
        find_layout(root, CocoConfig())


def test_a_share_depends_on_names_and_seed_and_keeps_copies_together() -> None:
    names = [f"img{i}_jpg.rf.{copy}{i}.jpg" for i in range(30) for copy in ("a1", "b2")]
    images = {i: ImageEntry(i, name, 8, 8) for i, name in enumerate(names)}
    val = split_by_share(images, "val", 0.2, 0)
    assert len(val) == 12
    assert all(i ^ 1 in val for i in val)
    assert split_by_share(dict(reversed(images.items())), "val", 0.2, 0).keys() == val.keys()
    assert split_by_share(images, "val", 0.2, 1).keys() != val.keys()
    assert split_by_share(images, "train", 0.2, 0).keys() == images.keys() - val.keys()


def test_keypoint_files_alone_give_boxes_too(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "person_keypoints_train2017.json").write_text("{}")
    found = find_layout(tmp_path, CocoConfig())
    assert (found.coco.instances, found.coco.keypoints) == ("", CocoConfig().keypoints)
    assert found.line == (
        f"{tmp_path}: COCO's keypoint files alone, read with coco.instances=''; "
        "boxes are those of their objects."
    )
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{}")
    assert find_layout(tmp_path, CocoConfig()).coco == CocoConfig()
