"""Classes of whole images beside objects, alone, and for some of the images only."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from mtvit_train.data.merging.fit_to_model import fit, keep_labels
from mtvit_train.data.packed import PackedAnnotations

IMAGES = [{"id": i, "file_name": f"{i}.png", "height": 4, "width": 6} for i in (1, 2, 3)]
CLASSES = [{"id": 9, "name": "night"}, {"id": 4, "name": "day"}]


def shown(packed: PackedAnnotations) -> dict[int, list[float] | None]:
    found = {}
    for i in range(len(packed)):
        labels = packed.original(i, {"image_labels"}).image_labels
        found[packed.image(i).image_id] = None if labels is None else labels.present.tolist()
    return found


def write(root: Path, name: str, **document: Any) -> None:
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{name}_train2017.json").write_text(json.dumps(document))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set whose images 2 and 3 have classes."""
    (tmp_path / "train2017").mkdir()
    for image in IMAGES:
        Image.new("RGB", (6, 4)).save(tmp_path / "train2017" / image["file_name"])
    shown = [{"id": 1, "image_id": 2, "category_id": 9}, {"id": 2, "image_id": 2, "category_id": 4}]
    write(tmp_path, "labels", images=IMAGES[1:], annotations=shown, categories=CLASSES)
    return tmp_path


def test_beside_objects_some_images_have_classes(root: Path) -> None:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "area": 4, "iscrowd": 0}
    things = [{"id": 1, "name": "car"}]
    write(root, "instances", images=IMAGES[:2], annotations=[box], categories=things)
    packed = read_coco(root, "train", CocoConfig(keypoints=""))
    assert [c.name for c in packed.categories] == ["car"]
    assert [c.name for c in packed.categories.images] == ["day", "night"]
    assert shown(packed) == {1: None, 2: [1, 1], 3: [0, 0]}
    has = {packed.image(i).image_id: packed.image(i).has for i in range(3)}
    assert has == {1: {"boxes"}, 2: {"boxes", "image_labels"}, 3: {"image_labels"}}


def test_alone_they_are_a_data_set(root: Path) -> None:
    packed = read_coco(root, "train", needs={"image_labels"})
    assert shown(packed) == {2: [1, 1], 3: [0, 0]}
    assert not packed.has.any()


def test_a_model_that_knows_more_classes_takes_them_by_name(root: Path) -> None:
    packed = read_coco(root, "train", needs={"image_labels"})
    day, night = packed.categories.images
    more = (night, Category(7, "dusk"), day)
    labels = fit(packed, Categories(packed.categories.items, more), "id", "here").image_labels(0)
    assert labels is not None
    assert labels.present.tolist() == [1, 0, 1]
    assert labels.known.tolist() == [True, False, True]
    assert fit(packed, Categories(packed.categories.items), "id", "here").image(0).has == set()


def test_a_run_that_names_its_labels_leaves_them_out(root: Path) -> None:
    packed = read_coco(root, "train", needs={"image_labels"})
    assert keep_labels(packed, ["image_labels"], "here").image(0).has == {"image_labels"}
    with pytest.raises(DataError, match="no image has it; it has image_labels"):
        keep_labels(packed, ["boxes"], "here")


def test_a_class_that_is_not_listed_is_an_error(root: Path) -> None:
    odd = [{"id": 1, "image_id": 2, "category_id": 5}]
    write(root, "labels", images=IMAGES, annotations=odd, categories=CLASSES)
    with pytest.raises(DataError, match="entry 0 of 'annotations' points to 5, which 'categories' does not"):
        read_coco(root, "train")


def test_a_named_file_must_be_there(root: Path) -> None:
    with pytest.raises(DataError, match=r"no such file of image labels; correct coco\.labels"):
        read_coco(root, "train", CocoConfig(labels="nowhere.json"))
