"""Scenes on disk: COCO files that pycocotools reads, equal to what was rendered."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mtvit_core.errors import DataError
from mtvit_train.scenes.scene import CATEGORIES, render_scene
from mtvit_train.scenes.writer import write_scenes

TRAIN, VAL, SEED, SIZE = 12, 5, 21, 64


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(out, TRAIN, VAL, SEED, SIZE)
    return out


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_layout_is_cocos(written: Path) -> None:
    names = {f"train2017/{number:012d}.png" for number in range(1, TRAIN + 1)}
    names |= {f"val2017/{number:012d}.png" for number in range(1, VAL + 1)}
    names |= {f"{label}/{name}" for label in ("depth", "semantic", "normals") for name in names}
    kinds = ("instances", "person_keypoints", "maps", "labels")
    names |= {f"annotations/{kind}_{split}2017.json" for kind in kinds for split in ("train", "val")}
    assert set(_contents(written)) == names


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("split", ["train", "val"])
def test_pycocotools_reads_what_was_rendered(written: Path, split: str) -> None:
    coco = COCO(written / f"annotations/instances_{split}2017.json")
    assert coco.loadCats(coco.getCatIds()) == list(CATEGORIES)
    for image in coco.loadImgs(coco.getImgIds()):
        scene = render_scene(SEED, image["id"] - 1, SIZE, split)
        pixels = np.asarray(Image.open(written / f"{split}2017" / image["file_name"]))
        np.testing.assert_array_equal(pixels, scene.image)
        entries = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert [entry["category_id"] for entry in entries] == scene.category_ids.tolist()
        for entry, mask, box in zip(entries, scene.masks, scene.boxes_xywh, strict=True):
            np.testing.assert_array_equal(coco.annToMask(entry), mask)
            assert entry["area"] == mask.sum() == coco_mask.area(entry["segmentation"])
            assert entry["bbox"] == box.tolist() == coco_mask.toBbox(entry["segmentation"]).tolist()
            assert entry["iscrowd"] == 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_people_share_ids_with_the_instances(written: Path, split: str) -> None:
    everything = _load(written / f"annotations/instances_{split}2017.json")
    people = _load(written / f"annotations/person_keypoints_{split}2017.json")
    assert people["images"] == everything["images"]
    assert [category["id"] for category in people["categories"]] == [1]
    assert people["annotations"]
    boxes = [entry for entry in everything["annotations"] if entry["category_id"] == 1]
    for person, box in zip(people["annotations"], boxes, strict=True):
        points = np.array(person["keypoints"]).reshape(17, 3)
        assert person["num_keypoints"] == (points[:, 2] > 0).sum()
        scene = render_scene(SEED, person["image_id"] - 1, SIZE, split)
        assert any((points.astype(np.float32) == rendered).all() for rendered in scene.keypoints)
        assert {key: person[key] for key in box} == box
        assert set(person) - set(box) == {"keypoints", "num_keypoints"}


def test_workers_change_no_byte(written: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path, TRAIN, VAL, SEED, SIZE, workers=2)
    assert _contents(tmp_path) == _contents(written)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_scenes(tmp_path, 2, 1, 0, 64, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_an_interrupted_run_leaves_no_annotations(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scenes(tmp_path, 2, 2, 0, 64, progress=stop)
    assert (tmp_path / "train2017").is_dir()
    assert not (tmp_path / "annotations").exists()


def test_a_filled_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError) as caught:
        write_scenes(tmp_path, 1, 1, 0, 64)
    assert str(caught.value) == f"{tmp_path}: is not empty; scenes need a new or an empty folder."
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenes"
    path.touch()
    with pytest.raises(DataError) as caught:
        write_scenes(path, 1, 1, 0, 64)
    assert str(caught.value) == f"{path}: is a file; scenes need a new or an empty folder."


def test_bad_numbers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        write_scenes(tmp_path / "a", 1, 0, 0, 64)
    assert str(caught.value) == "scenes: val is 0; give at least 1 image."
    with pytest.raises(DataError) as caught:
        write_scenes(tmp_path / "a", 1, 1, 0, 32)
    assert str(caught.value) == "scenes: size is 32; give a whole number from 64 to 1024."
    assert not (tmp_path / "a").exists()
