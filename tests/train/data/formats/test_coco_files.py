"""Reading COCO files: which files and images are asked for, and which labels each file gives."""

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support.training import tiny_coco


def test_without_a_keypoints_file_keypoints_are_not_labelled(tmp_path):
    tiny_coco.write(tmp_path)
    packed = read_coco(tmp_path, "train", CocoConfig(keypoints=""))
    assert packed.image(0).has == {"boxes", "masks"}
    assert packed.original(0).keypoints is None
    assert packed.categories.max_keypoints == 0


def test_without_an_instances_file_the_keypoints_file_gives_everything(tmp_path):
    tiny_coco.write(tmp_path)
    packed = read_coco(tmp_path, "train", CocoConfig(instances=""))
    assert packed.original(0).ids.tolist() == [101]
    assert packed.image(0).has == {"boxes", "masks", "keypoints"}


def test_keypoints_may_stand_in_the_instances_file(tmp_path, files):
    files["instances"] = files["keypoints"]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train", CocoConfig(keypoints=""))
    assert packed.image(0).has == {"boxes", "masks", "keypoints"}
    assert len(packed.keypoints) == 1


def test_images_have_the_labels_of_the_files_that_list_them(tmp_path, files):
    for name, dropped in (("instances", 9), ("keypoints", 3)):
        document = files[name]
        document["images"] = [image for image in document["images"] if image["id"] != dropped]
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != dropped]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    has = {packed.image(i).image_id: packed.image(i).has for i in range(len(packed))}
    assert has == {7: {"boxes", "masks", "keypoints"}, 3: {"boxes", "masks"}, 9: {"keypoints"}}


def test_a_person_in_the_keypoints_file_alone_is_an_instance(tmp_path, files):
    del files["instances"]["annotations"][0]
    found = read_coco(tiny_coco.write(tmp_path, files), "train").original(0)
    assert sorted(found.ids.tolist()) == [101, 102]
    assert found.has == {"boxes", "masks", "keypoints"}


@pytest.mark.parametrize(
    ("field", "needs", "kinds"),
    [
        ("keypoints", {"boxes"}, {"boxes", "masks"}),
        ("keypoints", {"boxes", "masks"}, {"boxes", "masks"}),
        ("instances", {"keypoints"}, {"boxes", "masks", "keypoints"}),
        ("keypoints", set(), {"boxes", "masks"}),
    ],
)
def test_only_files_that_are_needed_are_asked_for(tmp_path, field, needs, kinds):
    tiny_coco.write(tmp_path)
    path = {"keypoints": tiny_coco.keypoints_path, "instances": tiny_coco.instances_path}[field](tmp_path)
    path.unlink()
    assert read_coco(tmp_path, "train", needs=needs).image(0).has == kinds


@pytest.mark.parametrize(("field", "needs"), [("keypoints", {"keypoints"}), ("instances", {"boxes"})])
def test_a_file_that_is_needed_or_named_is_asked_for(tmp_path, field, needs):
    tiny_coco.write(tmp_path)
    path = {"keypoints": tiny_coco.keypoints_path, "instances": tiny_coco.instances_path}[field](tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="no such annotation file"):
        read_coco(tmp_path, "train", needs=needs)
    named = CocoConfig(keypoints="annotations/poses_{split}.json")
    with pytest.raises(DataError, match=r"poses_train2017.json: no such annotation file"):
        read_coco(tiny_coco.write(tmp_path), "train", named, needs=set())


def test_backslashes_are_read_as_slashes_and_said(tmp_path, files):
    for document in files.values():
        document["images"][1]["file_name"] = "more\\b.png"
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.image(1).path == tmp_path / "train2017" / "more" / "b.png"
    assert packed.notes == (
        f"{tmp_path / 'train2017'}: 1 of 3 images have another name than their entries give, as "
        "'more\\\\b.png': backslashes are read as slashes, and addresses by their last parts.",
    )


@pytest.mark.parametrize("folder", ["{split}", ""])
def test_addresses_of_lvis_are_read_by_their_last_parts(tmp_path, files, folder):
    for document in files.values():
        document["images"] = [image for image in document["images"] if image["id"] != 3]
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 3]
        for image in document["images"]:
            image["coco_url"] = f"https://cocodataset.org/train2017/{image.pop('file_name')}?size=1"
    packed = read_coco(tiny_coco.write(tmp_path, files), "train", CocoConfig(images=folder))
    assert packed.image(0).path == tmp_path / "train2017" / "a.png"


def test_other_names_by_config(tmp_path):
    tiny_coco.write(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "pictures-valid")
    tiny_coco.instances_path(tmp_path).rename(tmp_path / "valid.json")
    config = CocoConfig(val="valid", images="pictures-{split}", instances="{split}.json", keypoints="")
    assert len(read_coco(tmp_path, "val", config)) == 3
