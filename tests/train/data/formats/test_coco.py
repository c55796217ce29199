"""Reading COCO files: what becomes of correct ones."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support.training import tiny_coco


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
