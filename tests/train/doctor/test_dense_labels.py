"""What doctor says of dense labels and of classes of whole images."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mtvit_train.cli.main import main
from mtvit_train.scenes.writer import write_scenes


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    write_scenes(tmp_path / "scenes", train=3, val=1, seed=0, size=64)
    return tmp_path / "scenes"


def test_pixels_and_images_are_counted(scenes: Path) -> None:
    truth = np.stack(
        [np.asarray(Image.open(path)) for path in sorted((scenes / "semantic/train2017").iterdir())]
    )
    report = json.loads(CliRunner().invoke(main, ["doctor", "--data", str(scenes), "--json"]).output)
    train = report["splits"]["train"]
    dense = {one["name"]: one for one in train["dense"]}
    assert dense["semantic"]["images"] == 3
    assert dense["semantic"]["classes"]["background"] == pytest.approx((truth == 0).mean())
    assert dense["depth"]["labelled"] == 1
    assert 0 < dense["depth"]["least"] < dense["depth"]["most"] <= 1
    assert sum(one["instances"] for one in train["image_classes"]) == 3
    never = [name for name, share in dense["semantic"]["classes"].items() if not share]
    messages = [
        f["message"] for f in report["findings"] if (f["check"], f["where"]) == ("dense labels", "train")
    ]
    assert [m.startswith("dense label 'semantic': classes without a pixel") for m in messages] == [
        True
    ] * bool(never)
    unseen = [f["message"] for f in report["findings"] if (f["check"], f["where"]) == ("image labels", "val")]
    assert unseen[0].startswith("categories without an image: 4 of 5, so each is not scored")


def test_a_map_that_does_not_fit_its_image_is_a_fault(scenes: Path) -> None:
    path = next((scenes / "depth/train2017").iterdir())
    Image.fromarray(np.ones((8, 8), np.uint16)).save(path)
    result = CliRunner().invoke(main, ["doctor", "--data", str(scenes), "--json"])
    faults = [one["message"] for one in json.loads(result.output)["findings"] if one["level"] == "fault"]
    assert result.exit_code == 3
    assert len(faults) == 1
    assert path.name in faults[0]


def test_a_label_that_says_nothing_is_a_doubt(scenes: Path) -> None:
    for path in (scenes / "depth/val2017").iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint16)).save(path)
    for path in (scenes / "depth/train2017").iterdir():
        Image.fromarray(np.full((64, 64), 7, np.uint16)).save(path)
    result = CliRunner().invoke(main, ["doctor", "--data", str(scenes)])
    assert "dense label 'depth': every pixel is 0.000106813; look at its scale." in result.output
    assert "dense label 'depth': no pixel is labelled, so it is not scored." in result.output


def test_data_that_label_no_object_have_no_table_of_objects(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, (9, 9, 3), np.uint8)).save(path)
    given = ["doctor", "--data", str(tmp_path / "pets"), "--set", "reader=class_folders"]
    result = CliRunner().invoke(main, given)
    assert "Objects by category" not in result.output
    assert "without an object" not in result.output
    assert "Images by class" in result.output
