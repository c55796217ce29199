"""Reading COCO files: what is said where two files, or a file and a model, disagree."""

import pytest

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from support.training import tiny_coco
from support.training.tiny_coco import drop, message

PEOPLE = {
    "too few keypoints": (
        lambda d: d["annotations"][0].update(keypoints=[1, 2, 2]),
        "{k}: annotation 101: keypoints holds 3 numbers; it must hold 9.",
    ),
    "unknown visibility": (
        lambda d: d["annotations"][0].update(keypoints=[1, 2, 3] + [0] * 6),
        "{k}: annotation 101: a keypoint has visibility 3; allowed are 0, 1 and 2.",
    ),
    "keypoint names are a text": (
        lambda d: d["categories"][0].update(keypoints="nose"),
        "{k}: entry 0 of 'categories' (id 1): keypoints is 'nose'; it must be a list of names.",
    ),
    "keypoint name twice": (
        lambda d: d["categories"][0].update(keypoints=["nose", "nose", "tail"]),
        "{k}: entry 0 of 'categories' (id 1): keypoints holds a name twice; each keypoint needs its own.",
    ),
    "bone of one keypoint": (
        lambda d: d["categories"][0].update(skeleton=[[1]]),
        "{k}: entry 0 of 'categories' (id 1): skeleton holds [1]; a bone is two keypoint numbers from 1 "
        "to 3.",
    ),
    "too few sigmas": (
        lambda d: d["categories"][0].update(sigmas=[0.1]),
        "{k}: entry 0 of 'categories' (id 1): sigmas holds 1 numbers; it must hold 3.",
    ),
    "sigma of zero": (
        lambda d: d["categories"][0].update(sigmas=[0.1, 0, 0.1]),
        "{k}: entry 0 of 'categories' (id 1): sigmas holds 0; all must be above 0.",
    ),
    "another image": (
        lambda d: d["annotations"][0].update(image_id=9),
        "{k}: annotation 101 is image_id 9, but instances_train2017.json says 7; they must agree.",
    ),
    "another category": (
        lambda d: (
            d["categories"].append({"id": 18, "name": "dog"}),
            drop(d["annotations"][0], "keypoints"),
            d["annotations"][0].update(category_id=18),
        ),
        "{k}: annotation 101 is category_id 18, but instances_train2017.json says 1; they must agree.",
    ),
    "another crowd": (
        lambda d: d["annotations"][0].update(iscrowd=1),
        "{k}: annotation 101 is iscrowd 1, but instances_train2017.json says 0; they must agree.",
    ),
    "another box": (
        lambda d: d["annotations"][0].update(bbox=[4, 6, 10, 12.5]),
        "{k}: annotation 101 is bbox [4, 6, 10, 12.5], but instances_train2017.json says [4, 6, 10, 12]; "
        "they must agree.",
    ),
    "another image size": (
        lambda d: d["images"][2].update(width=51),
        "{k}: image 9 is c.png of 51 x 20 pixels, but instances_train2017.json says c.png of 50 x 20 pixels; "
        "they must agree.",
    ),
    "another image id": (
        lambda d: d["images"][2].update(id=10),
        "{k}: file 'c.png' is image 10, but instances_train2017.json says image 9; they must agree.",
    ),
    "another category name": (
        lambda d: d["categories"][0].update(name="human"),
        "{k}: category 1 is called 'human', but instances_train2017.json says 'person'; they must agree.",
    ),
}


@pytest.mark.parametrize("case", PEOPLE)
def test_wrong_keypoint_files(tmp_path, case):
    edit, expected = PEOPLE[case]
    files = tiny_coco.documents()
    edit(files["keypoints"])
    assert message(tiny_coco.write(tmp_path, files)) == expected


def test_two_keypoint_schemas_for_one_category(tmp_path):
    files = tiny_coco.documents()
    files["instances"]["categories"][1].update(keypoints=["nose"])
    assert message(tiny_coco.write(tmp_path, files)) == (
        "{k}: the keypoints of category 'person' differ from those in instances_train2017.json; they "
        "must agree."
    )


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (
            Category(2, "people"),
            "{i}: category 1 ('person') is none of the 2 that the model knows. Did you mean 'people'?",
        ),
        (
            Category(1, "human"),
            "{i}: category 1 is called 'person', but the model knows it as 'human'; ids and names must "
            "agree.",
        ),
        (
            Category(1, "person", KeypointSchema(("nose", "right_eye", "left_eye"))),
            "{i}: the keypoints of category 'person' are not those that the model knows; names and order "
            "must agree.",
        ),
        (
            Category(1, "person"),
            "{i}: the keypoints of category 'person' are not those that the model knows; names and order "
            "must agree.",
        ),
    ],
)
def test_categories_that_are_not_those_of_the_model(tmp_path, person, expected):
    known = Categories((person, Category(18, "dog")))
    assert message(tiny_coco.write(tmp_path), categories=known) == expected
