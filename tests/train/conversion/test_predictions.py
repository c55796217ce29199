"""``mtvit-train convert-data predictions.json``: what was found, as annotation tools import it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mtvit_core.structures.masks import encode_rle
from mtvit_train.cli.main import main
from support.data_sets.objects import HEIGHT, WIDTH, dump, image


def found(folder: Path) -> list[dict[str, Any]]:
    """Two images as ``mtvit predict`` writes them: a dog with a mask and a person with keypoints."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[6:22, 4:24] = True
    rle = encode_rle(mask)
    dog = {
        "id": 1,
        "task": "seg",
        "category": "dog",
        "category_id": 0,
        "score": 0.9,
        "bbox": [4.0, 6.0, 20.0, 16.0],
    }
    dog |= {"segmentation": {"size": list(rle.size), "counts": rle.counts}}
    points = [value for i in range(17) for value in (5.0 + i, 7.0, 0.9 if i else 0.1)]
    person = {**dog, "category": "person", "category_id": 1, "score": 0.4, "keypoints": points}
    del person["segmentation"]
    names = [image(folder / part / "a.png", seed) for seed, part in enumerate(("one", "two"))]
    size = {"image_id": 0, "height": HEIGHT, "width": WIDTH}
    return [{"file_name": str(name), **size, "objects": [dog, {**person, "id": 2}]} for name in names]


def convert(source: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["convert-data", str(source), "--out", str(out), *options])


def documents(out: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    boxes, poses = (
        json.loads((out / "annotations" / f"{name}_default.json").read_text())
        for name in ("instances", "person_keypoints")
    )
    return boxes, poses


def test_predictions_become_a_coco_data_set(tmp_path: Path) -> None:
    source, out = tmp_path / "predictions.json", tmp_path / "coco"
    dump(source, found(tmp_path / "images"))
    result = convert(source, out)
    assert result.exit_code == 0, result.output
    assert "2 images, 4 objects with a score of at least 0.3." in result.output
    boxes, poses = documents(out)
    assert [entry["file_name"] for entry in boxes["images"]] == ["one/a.png", "two/a.png"]
    assert all((out / "images" / "default" / entry["file_name"]).is_file() for entry in boxes["images"])
    dog, person = boxes["annotations"][:2]
    assert (dog["id"], dog["image_id"], dog["category_id"], dog["iscrowd"], dog["score"]) == (1, 1, 1, 0, 0.9)
    assert (person["segmentation"], person["category_id"]) == ([], 2)
    assert "keypoints" not in person
    assert poses["categories"][0]["keypoints"][0] == "nose"
    assert poses["annotations"][0]["keypoints"][:6] == [5.0, 7.0, 1, 6.0, 7.0, 2]
    truth = COCO(out / "annotations" / "instances_default.json")
    assert coco_mask.area(truth.annToRLE(truth.loadAnns(1)[0])) == 20 * 16


def test_objects_below_a_score_are_left_out(tmp_path: Path) -> None:
    source, out = tmp_path / "predictions.json", tmp_path / "coco"
    dump(source, found(tmp_path / "images"))
    assert convert(source, out, "--min-score", "0.5", "--no-images").exit_code == 0
    assert [entry["score"] for entry in documents(out)[0]["annotations"]] == [0.9, 0.9]


def test_lines_of_an_unfinished_run_are_read_too(tmp_path: Path) -> None:
    source, out = tmp_path / "predictions.partial.jsonl", tmp_path / "coco"
    lines = [{"model": "m"}, *found(tmp_path / "images")]
    source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert convert(source, out).exit_code == 0
    assert len(documents(out)[0]["images"]) == 2


def test_coco_results_take_images_and_names_from_a_file(tmp_path: Path) -> None:
    source, out, listed = tmp_path / "results.json", tmp_path / "coco", tmp_path / "val.json"
    dump(source, [{"image_id": 7, "category_id": 3, "score": 0.8, "bbox": [1, 2, 3, 4]}])
    assert "give the file of the images by --annotations" in convert(source, out).output
    images = [{"id": 7, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}]
    dump(listed, {"images": images, "annotations": [], "categories": [{"id": 3, "name": "cat"}]})
    assert convert(source, out, "--annotations", str(listed), "--no-images").exit_code == 0
    document = json.loads((out / "annotations" / "instances_default.json").read_text())
    assert (
        document["annotations"][0] | {"score": 0.8, "bbox": [1, 2, 3, 4], "area": 12}
        == document["annotations"][0]
    )
    assert document["categories"][0]["name"] == "cat"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": 1}, "holds no list of objects"),
        ([{"file_name": "a.png", "objects": []}], "image 0 lacks file_name, height or width"),
        (
            [{"file_name": "a.png", "height": 4, "width": 4, "objects": [{}]}],
            "no object is found in any image",
        ),
        (
            [{"file_name": "a.png", "height": 4, "width": 4, "objects": [{"category_id": 1, "score": "x"}]}],
            "object 1 of a.png has no category_id of the model, score or bbox",
        ),
    ],
)
def test_what_is_malformed_is_one_line(content: Any, said: str, tmp_path: Path) -> None:
    dump(tmp_path / "predictions.json", content)
    result = convert(tmp_path / "predictions.json", tmp_path / "coco", "--no-images")
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1


def test_images_that_are_not_there_are_told_before_anything_is_written(tmp_path: Path) -> None:
    entries = found(tmp_path / "images")
    entries[0]["file_name"] = str(tmp_path / "gone.png")
    dump(tmp_path / "predictions.json", entries)
    result = convert(tmp_path / "predictions.json", tmp_path / "coco")
    assert "gone.png: no such image file (1 of 2 are missing); run this where" in result.output
    assert not (tmp_path / "coco").exists()
