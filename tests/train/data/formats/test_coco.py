"""Reading COCO files: what becomes of correct ones."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mtvit_core.errors import DataError
from mtvit_core.sides import flip_pairs
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support import tiny_coco


@pytest.fixture
def files():
    return tiny_coco.documents()


def test_images_keep_the_order_of_the_file(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    assert [packed.image(i).image_id for i in range(3)] == [7, 3, 9]
    record = packed.image(1)
    assert (record.height, record.width, record.file_name) == (24, 24, "more/b.png")
    assert record.path == tmp_path / "train2017" / "more" / "b.png"
    assert packed.index_of_id == {7: 0, 3: 1, 9: 2}


def test_meta_maps_an_image_onto_itself(tmp_path):
    meta = read_coco(tiny_coco.write(tmp_path), "train").meta(2)
    assert (meta.height, meta.width, meta.content, meta.image_id) == (20, 50, (20, 50), 9)
    points = torch.tensor([[3.5, 4.25]])
    assert torch.equal(meta.points_to_original(points), points)


def test_categories_stand_in_the_order_of_their_ids_with_the_schema_of_the_keypoints_file(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    assert [(c.id, c.name) for c in packed.categories] == [(1, "person"), (18, "dog")]
    assert packed.categories[0].keypoints == KeypointSchema(
        names=("nose", "left_eye", "right_eye"), skeleton=((0, 1), (0, 2)), flip_pairs=((1, 2),)
    )
    assert packed.categories[1].keypoints is None


def test_annotations_of_both_files_become_one_instance(tmp_path):
    found = read_coco(tiny_coco.write(tmp_path), "train").original(0)
    assert found.ids.tolist() == [101, 102]
    assert found.boxes.tolist() == [[4, 6, 14, 18], [20.5, 10, 32.5, 18]]
    assert found.labels.tolist() == [0, 1]
    assert found.areas.tolist() == [120, 48.5]
    assert found.keypoints.tolist() == [[[8, 8, 2], [10, 7.5, 1], [0, 0, 0]], [[0, 0, 0]] * 3]
    assert found.has == {"boxes", "masks", "keypoints"}
    assert found.masks[0].nonzero().amin(0).tolist() == [6, 4]
    assert found.masks[0].sum() == 120


def test_crowd_run_lengths_are_kept(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    found = packed.original(1)
    assert found.is_crowd.tolist() == [True]
    expected = torch.zeros(24, 24, dtype=torch.bool)
    expected[:, 2:22] = True
    assert torch.equal(found.masks[0], expected)
    assert packed.crowd.sum() == 1


def test_an_image_without_annotations_is_labelled_and_empty(tmp_path):
    found = read_coco(tiny_coco.write(tmp_path), "train").original(2)
    assert len(found) == 0
    assert found.has == {"boxes", "masks", "keypoints"}
    assert found.masks.shape == (0, 20, 50)
    assert found.keypoints.shape == (0, 3, 3)


def test_original_leaves_out_what_is_not_needed(tmp_path):
    found = read_coco(tiny_coco.write(tmp_path), "train").original(0, {"boxes"})
    assert found.masks is None
    assert found.keypoints is None
    assert found.has == {"boxes"}


def test_compressed_run_lengths_are_read(tmp_path, files):
    counts = coco_mask.frPyObjects({"size": [24, 24], "counts": [48, 480, 48]}, 24, 24)["counts"].decode()
    files["instances"]["annotations"][1]["segmentation"] = {"size": [24, 24], "counts": counts}
    plain = read_coco(tiny_coco.write(tmp_path / "a"), "train").original(1)
    assert torch.equal(
        read_coco(tiny_coco.write(tmp_path / "b", files), "train").original(1).masks, plain.masks
    )


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


def test_a_file_without_any_segmentation_gives_no_masks(tmp_path, files):
    for document in files.values():
        for annotation in document["annotations"]:
            del annotation["segmentation"]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert all(packed.image(i).has == {"boxes", "keypoints"} for i in range(3))
    assert packed.original(0).masks is None


def test_a_person_in_the_keypoints_file_alone_is_an_instance(tmp_path, files):
    del files["instances"]["annotations"][0]
    found = read_coco(tiny_coco.write(tmp_path, files), "train").original(0)
    assert sorted(found.ids.tolist()) == [101, 102]
    assert found.has == {"boxes", "masks", "keypoints"}


def test_an_instance_without_a_mask_takes_the_mask_label_from_its_image(tmp_path, files):
    del files["instances"]["annotations"][0]
    for annotation in files["keypoints"]["annotations"]:
        del annotation["segmentation"]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.image(0).has == {"boxes", "keypoints"}
    assert packed.image(1).has == {"boxes", "masks", "keypoints"}


def test_area_is_that_of_the_mask_or_box_where_the_file_has_none(tmp_path, files):
    for annotation in files["instances"]["annotations"]:
        del annotation["area"]
    found = read_coco(tiny_coco.write(tmp_path, files), "train").original(0)
    assert found.areas.tolist() == [float(mask.sum()) for mask in found.masks]


def test_degenerate_annotations_are_dropped_and_counted_on_request(tmp_path, files):
    files["instances"]["annotations"][2]["bbox"] = [20, 10, 0, 8]
    files["keypoints"]["annotations"][0]["bbox"] = [4, 6, 0, 12]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train", CocoConfig(degenerate="drop"))
    assert packed.ids.tolist() == [103]
    assert packed.dropped == 2


def test_an_image_from_which_something_was_dropped_does_not_teach_that_nothing_is_there(tmp_path, files):
    files["instances"]["annotations"][2]["bbox"] = [20, 10, 0, 8]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train", CocoConfig(degenerate="drop"))
    every = {"boxes", "masks", "keypoints"}
    assert [packed.image(i).has for i in range(3)] == [set(), every, every]


def test_a_dropped_mask_leaves_its_box(tmp_path, files):
    files["instances"]["annotations"][2]["segmentation"] = [[1, 1, 2, 2]]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train", CocoConfig(degenerate="drop"))
    assert (packed.dropped, packed.unmasked) == (0, 1)
    assert packed.original(0).ids.tolist() == [101, 102]
    assert packed.image(0).has == {"boxes", "keypoints"}


EMPTY = {"absent": ..., "null": None, "no polygon": [], "an empty polygon": [[]], "two": [[], []]}


@pytest.mark.parametrize("value", EMPTY.values(), ids=EMPTY)
def test_an_object_with_an_empty_segmentation_has_a_box_and_no_mask_label(tmp_path, files, value):
    files["instances"]["annotations"][2]["segmentation"] = value
    if value is ...:
        del files["instances"]["annotations"][2]["segmentation"]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.original(0).ids.tolist() == [101, 102]
    assert packed.original(0).masks is None
    assert packed.image(0).has == {"boxes", "keypoints"}
    assert packed.image(1).has == packed.image(2).has == {"boxes", "masks", "keypoints"}
    assert packed.dropped == packed.unmasked == 0


@pytest.mark.parametrize("value", [None, [], [[]]])
def test_a_file_whose_segmentations_are_all_empty_gives_no_masks(tmp_path, files, value):
    for document in files.values():
        for annotation in document["annotations"]:
            annotation["segmentation"] = value
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert all(packed.image(i).has == {"boxes", "keypoints"} for i in range(3))
    assert packed.instances == 3


@pytest.mark.parametrize("annotator", ["cuts", "labels"])
def test_an_area_of_0_is_that_of_mask_or_box_and_said(tmp_path, files, annotator):
    dog = files["instances"]["annotations"][2]
    dog["area"] = 0
    if annotator == "labels":
        dog["segmentation"] = []
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.areas[1] == (96 if annotator == "labels" else packed.original(0).masks[1].sum())
    assert packed.notes == (
        f"{tiny_coco.instances_path(tmp_path)}: area is 0 in 1 of 3 annotations (as 102); that of the mask "
        "or box is used.",
    )


def test_bones_that_lead_nowhere_are_left_out_and_said(tmp_path, files):
    files["keypoints"]["categories"][0]["skeleton"] = [[1, 2], [3, 4], [0, 1]]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert packed.categories[0].keypoints.skeleton == ((0, 1),)
    assert packed.notes == (
        f"{tiny_coco.keypoints_path(tmp_path)}: entry 0 of 'categories' (id 1): skeleton holds 2 "
        "bones between keypoints that are not there, as [3, 4] (they are numbered from 1 to 3); "
        "pictures leave them out.",
    )


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


def test_only_some_images_are_used_on_request(tmp_path):
    tiny_coco.write(tmp_path)
    (tmp_path / "train2017" / "c.png").unlink()  # an image that is not used need not be there
    packed = read_coco(tmp_path, "train", CocoConfig(only=(3, 7)))
    assert packed.image_ids.tolist() == [7, 3]
    assert packed.ids.tolist() == [101, 102, 103]


def test_given_categories_fix_the_labels(tmp_path):
    nose = KeypointSchema(("nose", "left_eye", "right_eye"), sigmas=(0.1, 0.1, 0.1))
    known = Categories((Category(18, "dog"), Category(5, "cat"), Category(1, "person", nose)))
    packed = read_coco(tiny_coco.write(tmp_path), "train", categories=known)
    assert packed.original(0).labels.tolist() == [2, 0]
    assert packed.categories is known


def test_sigmas_are_those_of_coco_for_its_names_else_the_file_s(tmp_path, files):
    person = files["keypoints"]["categories"][0]
    person["sigmas"] = [0.1, 0.2, 0.3]
    schema = read_coco(tiny_coco.write(tmp_path / "a", files), "train").categories[0].keypoints
    assert schema.sigmas == (0.1, 0.2, 0.3)
    del person["sigmas"]
    person["keypoints"], person["skeleton"] = list(COCO_PERSON.names), []
    for annotation in files["keypoints"]["annotations"]:
        annotation["keypoints"] = [0] * 51
    schema = read_coco(tiny_coco.write(tmp_path / "b", files), "train").categories[0].keypoints
    assert schema.sigmas == COCO_PERSON.sigmas
    assert schema.flip_pairs == COCO_PERSON.flip_pairs


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye"], ((1, 2),)),
        (["Right Eye", "nose", "Left Eye"], ((0, 2),)),
        (["eye-left", "eye-right", "tail"], ((0, 1),)),
        (["L_Eye", "R_Eye", "L_F_Paw", "R_F_Paw"], ((0, 1), (2, 3))),
        (["lShoulder", "rShoulder", "neck"], ((0, 1),)),
        (["eyeL", "eyeR", "legL1", "legR1", "abdomen"], ((0, 1), (2, 3))),
        (["LEye", "REye", "Lknee", "Rknee", "Root"], ((0, 1), (2, 3))),
        (["left_eye", "right_eye", "L_toe"], ()),
        (["left_eye", "right_eye", "face-0", "face-1"], ()),
        (["nose", "tail"], ()),
        (["leftover", "rightover"], ()),
        (["left_eye", "right_eye", "left_ear"], ()),
    ],
)
def test_flip_pairs_come_from_names_and_only_where_every_side_has_its_partner(names, pairs):
    assert flip_pairs(names) == pairs


def test_keypoints_are_stored_only_for_those_who_have_them(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    assert packed.keypoints.shape == (1, 3, 3)
    assert packed.keypoint_rows.tolist() == [0, -1, -1]


@pytest.mark.parametrize(
    ("split", "images", "instances", "crowds", "people"), [("train", 80, 739, 8, 86), ("val", 79, 624, 5, 68)]
)
def test_coco_mini_is_read_in_full(coco_mini, split, images, instances, crowds, people):
    packed = read_coco(coco_mini, split)
    assert (len(packed), packed.instances) == (images, instances)
    assert (int(packed.crowd.sum()), len(packed.keypoints)) == (crowds, people)
    assert len(packed.categories) == 80
    assert packed.categories[0].keypoints == COCO_PERSON
    assert all(packed.image(i).has == {"boxes", "masks", "keypoints"} for i in range(images))


def test_coco_mini_takes_few_bytes_an_instance(coco_mini):
    assert 100 < read_coco(coco_mini, "train").bytes_per_instance < 400


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, on NumPy 2
@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_mini_keeps_every_number_and_every_mask_pixel(coco_mini, split):
    packed = read_coco(coco_mini, split)
    listed = json.loads((coco_mini / "annotations" / f"instances_{split}2017.json").read_text())
    points = json.loads((coco_mini / "annotations" / f"person_keypoints_{split}2017.json").read_text())
    truth = {a["id"]: a for a in listed["annotations"]}
    keypoints = {a["id"]: a["keypoints"] for a in points["annotations"]}
    seen = 0
    for index in range(len(packed)):
        record, found = packed.image(index), packed.original(index)
        for row, number in enumerate(found.ids.tolist()):
            annotation = truth[number]
            assert annotation["image_id"] == record.image_id
            assert packed.categories[int(found.labels[row])].id == annotation["category_id"]
            x, y, width, height = annotation["bbox"]
            assert found.boxes[row].tolist() == pytest.approx([x, y, x + width, y + height], rel=1e-6)
            assert float(found.areas[row]) == pytest.approx(annotation["area"], rel=1e-6)
            assert bool(found.is_crowd[row]) == bool(annotation["iscrowd"])
            shape = coco_mask.frPyObjects(annotation["segmentation"], record.height, record.width)
            shape = coco_mask.merge(shape) if isinstance(shape, list) else shape
            assert np.array_equal(found.masks[row].numpy(), coco_mask.decode(shape).astype(bool))
            expected = np.array(keypoints.get(number, [0] * 51)).reshape(17, 3)
            assert np.array_equal(found.keypoints[row].numpy(), expected)
            seen += 1
    assert seen == len(truth)
