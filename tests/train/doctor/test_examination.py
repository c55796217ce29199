"""``mtvit-train doctor``: every fault of a data set is listed, and its exit code says what was found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_train.cli.main import main
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.formats.faults import Noted
from mtvit_train.doctor.images import look_at
from support import tiny_coco


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The tiny data set in both splits, with other pixels in the second."""
    root = tiny_coco.write(tmp_path / "data")
    shutil.copytree(root / "train2017", root / "val2017")
    for path in (root / "val2017").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path)).transpose(1, 0, 2)[::-1, ::-1]).rotate(
            90, expand=True
        ).save(path)
    for kind in ("instances", "person_keypoints"):
        (root / "annotations" / f"{kind}_val2017.json").write_text(
            (root / "annotations" / f"{kind}_train2017.json").read_text()
        )
    return root


def doctor(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--data", str(data), *arguments])


def examined(data: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object."""
    result = doctor(data, "--json", *arguments)
    return result.exit_code, json.loads(result.output)


def change(data: Path, edit: Callable[[dict[str, Any]], object], kind: str = "instances") -> Path:
    """Edit one annotation file of the training split."""
    path = data / "annotations" / f"{kind}_train2017.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    return path


def messages(report: dict[str, Any], level: str, check: str) -> list[str]:
    return [f["message"] for f in report["findings"] if (f["level"], f["check"]) == (level, check)]


def test_it_counts_what_is_labelled_for_each_task(data: Path) -> None:
    _, report = examined(data)
    train = report["splits"]["train"]
    assert (train["images"], train["instances"], train["crowds"]) == (3, 3, 1)
    assert train["tasks"]["det"] == {"images": 3, "instances": 2}
    assert train["tasks"]["pose"] == {"images": 3, "instances": 1}
    person, dog = train["classes"]
    assert person == {"id": 1, "name": "person", "instances": 1, "images": 1, "posed": 1}
    assert (dog["instances"], dog["posed"]) == (1, None)


def test_doubts_alone_exit_with_1_and_are_printed(data: Path) -> None:
    result = doctor(data)
    assert result.exit_code == 1
    assert "category 'person' has no sigmas, so its poses are scored with 0.05 for each keypoint; give" in (
        result.output
    )
    assert "0 faults, 4 doubts. No fault, but look at the doubts: training would run." in result.output


def test_sound_data_exit_with_0(data: Path) -> None:
    for kind in ("instances", "person_keypoints"):
        change(data, give_all, kind)
        (data / "annotations" / f"{kind}_val2017.json").write_text(
            (data / "annotations" / f"{kind}_train2017.json").read_text()
        )
    result = doctor(data)
    assert result.exit_code == 0, result.output
    assert "0 faults, 0 doubts. Nothing found." in result.output


def give_all(document: dict[str, Any]) -> None:
    """Give every keypoint a sigma and a label."""
    for category in document["categories"]:
        if "keypoints" in category:
            category["sigmas"] = [0.1, 0.1, 0.1]
    for annotation in document["annotations"]:
        if annotation["id"] == 101 and "keypoints" in annotation:
            annotation["keypoints"][6:] = [9, 9, 2]


def test_every_fault_is_listed_where_reading_stops_at_the_first(data: Path) -> None:
    def damage(document: dict[str, Any]) -> None:
        person, _, dog = document["annotations"]
        document["images"].append({**document["images"][0], "id": 7, "file_name": "d.png"})
        document["annotations"].append({**dog, "id": 104, "image_id": 99})
        document["annotations"].append({**dog, "id": 105, "category_id": 5})
        document["annotations"].append({**dog, "id": 106, "bbox": [3, 3, 0, 4]})
        document["annotations"].append({**dog, "id": 107, "segmentation": [[1, 1, 2, 2]]})
        document["annotations"].append({**person, "id": 102})

    path = change(data, damage)
    with pytest.raises(DataError, match="image 7 is listed more than once"):
        read_coco(data, "train")
    code, report = examined(data)
    assert code == 3
    assert messages(report, "fault", "annotations") == [
        f"{path}: image 7 is listed more than once; ids must be unique.",
        f"{path}: annotation 104 lies in image 99, which 'images' does not list; add it or remove this.",
        f"{path}: annotation 105 has category 5, which 'categories' does not list; add or correct it.",
        f"{path}: annotation 106: bbox is 0 wide and 4 high; both must be above 0.",
        f"{path}: annotation 107: polygon 0 has 2 points; a polygon needs at least 3.",
        f"{path}: annotation 102 is listed more than once; ids must be unique.",
    ]
    assert report["splits"]["train"]["instances"] == 3


def test_missing_and_unreadable_images_are_listed(data: Path) -> None:
    (data / "train2017" / "a.png").unlink()
    (data / "train2017" / "c.png").write_bytes(b"not an image")
    Image.new("RGB", (9, 9)).save(data / "train2017" / "more" / "b.png")
    code, report = examined(data)
    folder = data / "train2017"
    assert code == 3
    assert messages(report, "fault", "annotations") == [
        f"{folder / 'a.png'}: no such image file, though image 7 names it (1 of 3 images are missing); add "
        "the files or remove their entries."
    ]
    small, broken = messages(report, "fault", "images")
    assert small.startswith(f"{folder / 'more' / 'b.png'}: the upright image has 9 x 9 pixels, but")
    assert broken.startswith(f"{folder / 'c.png'}: not an image in a known format")


def test_a_torn_file_ends_its_split_only(data: Path) -> None:
    for kind in ("instances", "person_keypoints"):
        (data / "annotations" / f"{kind}_train2017.json").write_text('{"images": [')
    code, report = examined(data)
    assert code == 3
    assert list(report["splits"]) == ["val"]
    torn = messages(report, "fault", "annotations")
    assert [("malformed JSON in line 1" in line) for line in torn] == [True, True, False]
    assert torn[2] == f"{data}: no annotation file of the train split can be read; fix them first."


def test_images_of_both_splits_are_found(data: Path) -> None:
    shutil.copy(data / "train2017" / "a.png", data / "val2017" / "a.png")
    smooth = np.add.outer(np.arange(20.0), 0.6 * np.arange(50.0)) + 40 * np.sin(np.arange(50.0) / 5)
    pixels = np.repeat((smooth - smooth.min())[..., None], 3, 2)
    for split, gain in (("train", 1.0), ("val", 0.8)):
        Image.fromarray((gain * pixels).astype(np.uint8)).save(data / f"{split}2017" / "c.png")
    _, report = examined(data)
    same, near = messages(report, "doubt", "duplicates")
    assert same == "val image a.png has the bytes of train image a.png; take one of them out."
    assert near.startswith("val image c.png looks like train image c.png (")


def test_the_look_of_an_image_survives_shrinking_and_differs_between_images(coco_mini: Path) -> None:
    packed = read_coco(coco_mini, "train")
    looks = []
    for index in range(12):
        image = Image.open(packed.image(index).path).convert("RGB")
        half = image.resize((image.width // 2, image.height // 2))
        looks.append([look_at(torch.from_numpy(np.array(each)).permute(2, 0, 1)) for each in (image, half)])
    differing = np.array([[(a != b).sum() for _, b in looks] for a, _ in looks])
    assert differing.diagonal().max() <= 6 < differing[~np.eye(12, dtype=bool)].min()


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


def test_coco_mini_has_no_fault(coco_mini: Path) -> None:
    code, report = examined(coco_mini)
    assert code == 1
    assert report["verdict"] == "doubts"
    assert {(f["level"], f["check"]) for f in report["findings"]} == {("doubt", "classes")}
    assert report["splits"]["val"]["tasks"]["det"] == {"images": 79, "instances": 619}


def test_what_it_cannot_check_exits_with_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.output) == (
        2,
        "error: doctor: scenes are generated, so there is nothing to check; give a folder by --data.\n",
    )
    result = doctor(tmp_path / "nowhere")
    assert result.output == f"error: doctor: {tmp_path / 'nowhere'}: no such data folder; check the path.\n"


def test_only_faults_of_the_data_are_noted() -> None:
    noted = Noted()
    with noted:
        raise DataError("here")
    with pytest.raises(ValueError, match="elsewhere"), noted:
        raise ValueError("elsewhere")
    assert [str(fault) for fault in noted.found] == ["here"]


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


def test_annotations_of_a_refused_category_or_image_have_no_line_of_their_own(data: Path) -> None:
    def damage(document: dict[str, Any]) -> None:
        del document["categories"][0]["name"]
        document["images"][1]["height"] = 0

    change(data, damage)
    (data / "annotations" / "person_keypoints_train2017.json").unlink()
    code, report = examined(data)
    assert code == 3
    assert len(messages(report, "fault", "annotations")) == 2


def test_no_image_left_is_a_fault_not_a_crash(data: Path) -> None:
    shutil.rmtree(data / "train2017")
    (data / "train2017").mkdir()
    result = doctor(data)
    assert result.exit_code == 3
    assert "no image of the train split is left; fix the faults above first." in result.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("A.PNG", "'a.png' differs in upper and lower case only"),
        ("train2017/a.png", "'a.png' lies in another folder"),
        ("%61.png", "'a.png' is written without percent signs"),
    ],
)
def test_a_missing_image_is_shown_the_nearest_name(data: Path, name: str, said: str) -> None:
    for kind in ("instances", "person_keypoints"):
        change(data, lambda d: d["images"][0].update(file_name=name), kind)
    _, report = examined(data)
    (line,) = messages(report, "fault", "annotations")
    assert line.endswith(f"{said}: correct the name in the file, or rename the image.")
