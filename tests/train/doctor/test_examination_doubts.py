"""``mtvit-train doctor``: what is no fault but odd, of objects, boxes, images, fields and categories."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.training.doctor_cases import change, examined, messages


def test_objects_that_stand_twice_are_thin_or_have_stray_keypoints_are_doubts(data: Path) -> None:
    def damage(document: dict[str, Any]) -> None:
        document["annotations"][0]["keypoints"][:3] = [900, 8, 2]

    def repeat(document: dict[str, Any]) -> None:
        dog = document["annotations"][2]
        document["annotations"] += [{**dog, "id": 108}, {**dog, "id": 109, "bbox": [0.2, 0.3, 0.4, 12]}]

    change(data, damage, "person_keypoints")
    change(data, repeat)
    _, report = examined(data)
    assert messages(report, "doubt", "objects") == [
        "objects that are listed more than once, with the same image, category and box: 1 (annotations "
        "102); keep one of each.",
        "boxes thinner than a pixel: 1 (annotations 109); are they in pixels, not in shares of the image?",
        "labelled keypoints outside of their image: 1 (annotations 101); training counts them as not "
        "labelled.",
    ]


def test_categories_without_objects_and_keypoints_without_labels_are_doubts(data: Path) -> None:
    change(data, lambda d: d["categories"].append({"id": 40, "name": "cat"}))
    code, report = examined(data)
    assert code == 3
    assert messages(report, "fault", "categories") == [
        "the train and val annotations list different categories: category 40 is 'cat' in train, not there "
        "in val; make them equal."
    ]
    assert messages(report, "doubt", "classes") == [
        "categories without an object: 1 of 3, so each is not learnt: cat."
    ]
    assert messages(report, "doubt", "keypoints")[1] == (
        "category 'person': no object has these keypoints labelled: right_eye."
    )


def test_boxes_as_corners_do_not_fit_their_masks_and_leave_their_images(data: Path) -> None:
    def corners(document: dict[str, Any]) -> None:
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            annotation["bbox"] = [x, y, x + width, y + height]

    change(data, corners)
    change(data, corners, "person_keypoints")
    _, report = examined(data)
    found = messages(report, "doubt", "boxes")
    ask = "are they x, y, width, height, and in pixels?"
    assert f"boxes that do not fit their masks: 2 (annotations 101, 102); {ask}" in found
    assert f"boxes that reach far over the border of their image: 1 (annotations 102); {ask}" in found


def test_areas_far_from_the_masks_are_doubts(data: Path) -> None:
    change(data, lambda d: d["annotations"][0].update(area=9000))
    _, report = examined(data)
    assert messages(report, "doubt", "boxes") == [
        "areas that are far from that of the mask or the box: 1 (annotations 101); scores of poses "
        "divide by it."
    ]


def test_turned_images_and_dull_ones_of_16_bits_are_doubts(data: Path) -> None:
    folder = data / "train2017"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(folder / "a.png").save(folder / "a.png", exif=exif)
    Image.fromarray(np.linspace(30000, 30500, 20 * 50).reshape(20, 50).astype(np.uint16)).save(
        folder / "c.png"
    )
    _, report = examined(data)
    turned, dull = messages(report, "doubt", "images")
    assert turned.startswith(
        "images with an EXIF orientation, which are turned upright: 1 (a.png); annotations"
    )
    assert dull.startswith("images that use less than 1/16 of their 16 bits, of which 8 are kept: 1 (c.png);")


def test_fields_that_nobody_reads_are_doubts(data: Path) -> None:
    path = change(data, lambda d: d["annotations"][2].update(ignore=1, attributes={"rotation": 30.0}))
    _, report = examined(data)
    assert [line for line in messages(report, "doubt", "annotations") if "is not read" in line] == [
        f"{path}: the field ignore is not read: the object is learnt and scored (1 annotations, as 102).",
        f"{path}: the field attributes.rotation is not read: the box is taken unturned (1 annotations, as "
        "102).",
    ]


def test_images_with_more_objects_than_queries_are_doubts(data: Path) -> None:
    _, report = examined(data, "--set", "plugins=['det']", "--set", "tasks.det.queries=1")
    (line, *_) = messages(report, "doubt", "crowding")
    assert line.startswith(
        "train: 1 images hold more objects than the 1 that task det finds and has counted, up"
    )
