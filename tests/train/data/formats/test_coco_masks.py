"""Reading COCO files: masks, areas and what becomes of objects without them."""

import pytest
import torch
from pycocotools import mask as coco_mask

from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support.training import tiny_coco


def test_crowd_run_lengths_are_kept(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    found = packed.original(1)
    assert found.is_crowd.tolist() == [True]
    expected = torch.zeros(24, 24, dtype=torch.bool)
    expected[:, 2:22] = True
    assert torch.equal(found.masks[0], expected)
    assert packed.crowd.sum() == 1


def test_compressed_run_lengths_are_read(tmp_path, files):
    counts = coco_mask.frPyObjects({"size": [24, 24], "counts": [48, 480, 48]}, 24, 24)["counts"].decode()
    files["instances"]["annotations"][1]["segmentation"] = {"size": [24, 24], "counts": counts}
    plain = read_coco(tiny_coco.write(tmp_path / "a"), "train").original(1)
    assert torch.equal(
        read_coco(tiny_coco.write(tmp_path / "b", files), "train").original(1).masks, plain.masks
    )


def test_a_file_without_any_segmentation_gives_no_masks(tmp_path, files):
    for document in files.values():
        for annotation in document["annotations"]:
            del annotation["segmentation"]
    packed = read_coco(tiny_coco.write(tmp_path, files), "train")
    assert all(packed.image(i).has == {"boxes", "keypoints"} for i in range(3))
    assert packed.original(0).masks is None


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
