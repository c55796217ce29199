"""What doctor passes, with whatever doubts, training takes: its "training would run" is true."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mtvit_train.cli import doctor
from mtvit_train.cli.main import main
from support.training import tiny_coco

_TINY = (
    "model.backbone=vit_tiny_patch16_224", "model.options={depth=1}", "model.image_size=[32,32]",
    "train.batch_size=2", "train.threads=1", "tasks.det.queries=1",
)  # fmt: skip
#: Every kind of doubt.
_DOUBTS = {"annotations", "boxes", "images", "crowding", "objects", "classes", "keypoints", "duplicates"}


def doubtful(root: Path) -> Path:
    """The tiny data set with every doubt at once."""
    tiny_coco.write(root)
    shutil.copytree(root / "train2017", root / "val2017")
    folder = root / "train2017"
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(folder / "a.png").save(folder / "a.png", exif=exif)
    grey = np.linspace(30000, 30500, 20 * 50).reshape(20, 50).astype(np.uint16)
    Image.fromarray(grey).save(folder / "c.png")
    for kind, key in (("instances", "instances"), ("person_keypoints", "keypoints")):
        document = tiny_coco.documents()[key]
        document["categories"].append({"id": 40, "name": "cat"})
        document["images"][1]["file_name"] = "more\\b.png"
        if key == "instances":
            _spoil(document)
        else:
            document["categories"][0]["skeleton"].append([1, 9])
            document["annotations"][0]["keypoints"][:3] = [900, 8, 2]
        for split in ("train", "val"):
            (root / "annotations" / f"{kind}_{split}2017.json").write_text(json.dumps(document))
    return root


def _spoil(document: dict[str, Any]) -> None:
    person, _, dog = document["annotations"]
    person["area"] = 0
    document["annotations"] += [
        {**dog, "id": 104},
        {**dog, "id": 105, "area": 90000},
        {**dog, "id": 106, "bbox": [0.2, 0.3, 0.4, 12], "segmentation": []},
        {**dog, "id": 107, "bbox": [20, 10, 90, 60], "segmentation": [[20, 10, 24, 10, 24, 14, 20, 14]]},
    ]


def test_every_doubt_at_once_trains(tmp_path: Path) -> None:
    root = doubtful(tmp_path / "data")
    settings = [part for value in _TINY for part in ("--set", value)]
    told = CliRunner().invoke(main, ["doctor", "--data", str(root), "--json", *settings])
    assert told.exit_code == 1, told.output
    assert {finding["check"] for finding in json.loads(told.output)["findings"]} == _DOUBTS
    run = ["--plugins", "det,seg,pose", "--data", str(root), "--out", str(tmp_path / "run"), "--steps", "1"]
    trained = CliRunner().invoke(main, [*run, *settings, "--set", "augment.hflip=1"])
    assert trained.exit_code == 0, trained.output


def test_a_crash_of_doctor_has_a_code_and_a_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(doctor, "_examine", crash)
    told = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path)])
    assert told.exit_code == 4
    assert told.output.startswith("error: doctor crashed (KeyError: 'x'); this is a fault of mtvit")
    assert told.output.count("\n") == 1
