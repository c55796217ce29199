"""``mtvit predict`` with people from a file or another model."""

import json
from pathlib import Path

import pytest

import mtvit_core
from mtvit_core.errors import DataError
from mtvit_core.inference.people import read_person_boxes
from mtvit_core.structures.categories import Categories, Category
from support.commands.command_cases import CATEGORIES, refusal, run


def write_boxes(tmp_path, entries) -> Path:
    """Write a file for ``--boxes``."""
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(entries))
    return file


def test_predict_looks_at_the_people_of_a_file(person_model, images, tmp_path):
    people = [{"bbox": [40, 20, 40, 40], "category": "person"}, {"bbox": [0, 0, 20, 20]}]
    cup = {"bbox": [0, 0, 9, 9], "category": "cup"}
    entries = [
        {"file_name": "elsewhere/b.jpg", "objects": [*people, cup]},
        {"file_name": "a.png", "objects": []},
    ]
    boxes = write_boxes(tmp_path, entries)
    result = run("predict", person_model, images, "--out", tmp_path / "out", "--boxes", boxes)
    assert result.stdout.startswith("Images: 2, objects: 2.")
    first, second = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert first["objects"] == []
    assert [thing["bbox"] for thing in second["objects"]] == [[50, 30, 20, 20], [5, 5, 10, 10]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not a readable JSON file (Expecting value: line 1 column 2 (char 1))."),
        ("{}", "it holds no list; give a predictions.json of `mtvit predict`, or a COCO detection file."),
        ('[{"file_name": "a.png"}]', "entry 0 is not an object with file_name and objects."),
        (
            '[{"file_name": "x/a.png", "objects": []}, {"file_name": "y/a.png", "objects": []}]',
            "'a.png' is listed twice; boxes are found by the file name without its folder.",
        ),
        (
            '[{"file_name": "a.png", "objects": []}]',
            "there are no boxes for 'b.jpg'; add an entry, if need be without objects.",
        ),
        (
            '[{"file_name": "b.jpg", "objects": []}, {"file_name": "a.png", "objects": [{"bbox": [1, 2]}]}]',
            "an object of 'a.png' has no bbox of four numbers x y width height, or a score that is "
            "no number.",
        ),
        (
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]',
            "it names images by their ids, and 'a.png' does not tell one; give the COCO annotation file of "
            "the images with --annotations.",
        ),
        (
            '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}, {"image_id": 1}]',
            "entry 1 is not an object with image_id, category_id and bbox.",
        ),
    ],
)
def test_malformed_boxes_are_refused(person_model, images, tmp_path, text, message):
    file = tmp_path / "boxes.json"
    file.write_text(text)
    out = tmp_path / "out"
    found = refusal("predict", person_model, images, "--out", out, "--boxes", file)
    assert found == f"error: {file}: {message}"


def test_boxes_that_are_missing_or_of_no_use_are_refused(model, person_model, images, tmp_path):
    arguments = (
        "predict",
        person_model,
        images,
        "--out",
        tmp_path / "out",
        "--boxes",
        tmp_path / "none.json",
    )
    assert refusal(*arguments) == (
        f"error: {tmp_path / 'none.json'}: no such file; give the predictions.json of an "
        "earlier run, or a COCO detection file."
    )
    boxes = write_boxes(tmp_path, [{"file_name": n, "objects": []} for n in ("a.png", "b.jpg")])
    assert refusal("predict", model, images, "--out", tmp_path / "out", "--boxes", boxes) == (
        f"error: boxes {boxes}: no task of {model} looks at one person at a time; leave --boxes out."
    )


@pytest.fixture
def detections(tmp_path):
    """A COCO detection file of images 7 and 9, and the annotation file that tells which they are."""
    found = [
        {"image_id": 7, "category_id": 7, "bbox": [40, 20, 40, 40], "score": 0.5},
        {"image_id": 7, "category_id": 9, "bbox": [0, 0, 9, 9], "score": 0.9},
    ]
    listed = {"images": [{"id": 9, "file_name": "a.png"}, {"id": 7, "file_name": "x/b.jpg"}]}
    boxes, annotations = tmp_path / "detections.json", tmp_path / "instances.json"
    boxes.write_text(json.dumps(found))
    annotations.write_text(json.dumps(listed))
    return boxes, annotations


def test_predict_looks_at_the_people_of_a_coco_detection_file(person_model, images, tmp_path, detections):
    boxes, annotations = detections
    arguments = ("predict", person_model, images, "--boxes", boxes, "--annotations", annotations)
    run(*arguments, "--out", tmp_path / "out")
    first, second = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert first["objects"] == []
    assert [thing["bbox"] for thing in second["objects"]] == [[50, 30, 20, 20]]


def test_ids_are_the_numbers_that_files_are_named_by(tmp_path, detections):
    boxes, _ = detections
    found = read_person_boxes(boxes, [Path("x/000000000007.jpg"), Path("000000000011.jpg")], CATEGORIES)
    assert [people.tolist() for people in found] == [[[40, 20, 80, 60, 0.5]], []]
    named = [Path("a.png"), Path("b.jpg")]
    assert [len(people) for people in read_person_boxes(boxes, named, CATEGORIES, [7, 9])] == [1, 0]
    with pytest.raises(DataError) as error:
        read_person_boxes(boxes, [Path("8.jpg")], CATEGORIES)
    assert str(error.value) == (
        f"{boxes}: it has boxes of 1 images, but not of '8.jpg' (id 8) or any other that was given; give the "
        "file of these images, or their ids with --annotations."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it has no list of images with file_name and id."),
        ('{"images": []}', "it does not list 'a.png'; give the file of these images."),
    ],
)
def test_annotations_that_do_not_fit_are_refused(person_model, images, tmp_path, detections, text, message):
    boxes, annotations = detections
    annotations.write_text(text)
    arguments = ("predict", person_model, images, "--out", tmp_path / "out", "--boxes", boxes)
    assert refusal(*arguments, "--annotations", annotations) == f"error: {annotations}: {message}"


def test_another_model_finds_the_people(model, person_model, images, tmp_path):
    arguments = (
        "predict",
        person_model,
        images,
        "--detector",
        model,
        "--person-score",
        "0",
        "--min-score",
        0,
    )
    run(*arguments, "--out", tmp_path / "out")
    run("predict", model, images, "--out", tmp_path / "det", "--min-score", "0")
    poses, boxes = (json.loads((tmp_path / f / "predictions.json").read_text()) for f in ("out", "det"))
    for image, of_detector in zip(poses, boxes, strict=True):
        (pose,), (person,) = image["objects"], of_detector["objects"]
        x, y, width, height = person["bbox"]
        assert pose["bbox"] == pytest.approx([x + width / 4, y + height / 4, width / 2, height / 2])


def test_detectors_that_find_no_people_are_refused(model, person_model, images, tmp_path, detections):
    boxes, annotations = detections
    start = ("predict", person_model, images, "--out", tmp_path / "out")
    assert refusal(*start, "--detector", person_model) == (
        f"error: detector {person_model}: none of its tasks (middle) finds boxes; give another model."
    )
    cups = mtvit_core.build("test_vit", ["middle"], Categories((Category(3, "cup"),)), canvas=(32, 48))
    mtvit_core.save(cups, tmp_path / "cups.safetensors")
    assert refusal(*start, "--detector", tmp_path / "cups.safetensors") == (
        f"error: detector {tmp_path / 'cups.safetensors'}: it knows no person among its 1 categories; give "
        "another model."
    )
    assert refusal(*start, "--detector", model, "--boxes", boxes) == (
        f"error: boxes {boxes} and detector {model}: each tells who to look at; give one."
    )
    assert refusal(*start, "--annotations", annotations) == (
        f"error: annotations {annotations}: they tell the ids of images for --boxes; give both."
    )
    assert refusal("predict", model, images, "--out", tmp_path / "out", "--detector", model) == (
        f"error: detector {model}: no task of {model} looks at one person at a time; leave --detector out."
    )
