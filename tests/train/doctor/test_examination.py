"""``mtvit-train doctor``: every fault of a data set is listed, and its exit code says what was found."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_train.cli.main import main
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.formats.faults import Noted
from mtvit_train.doctor.images import look_at
from support.training.doctor_cases import change, doctor, examined, messages


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
