"""Images without labels: a folder in any layout, beside data with labels."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_train.build.data import RunData, read_data
from mtvit_train.config.run import read_run
from support.training import tiny_coco


def images(folder: Path) -> Path:
    """Three images at different depths, one of them upright by its EXIF alone, and files that are none."""
    (folder / "more" / "2024").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(folder / "b.png")
    turned = Image.new("RGB", (32, 16)).getexif()
    turned[274] = 6
    Image.new("RGB", (32, 16)).save(folder / "more" / "2024" / "a.jpg", exif=turned)
    Image.new("L", (8, 8)).save(folder / "more" / "c.bmp")
    (folder / "more" / ".hidden.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("none")
    return folder


def read(tmp_path: Path, teacher: str = "", **table: Any) -> RunData:
    tables = [
        {"path": str(tiny_coco.write(tmp_path / "tiny", tiny_coco.documents()))},
        {"path": str(tmp_path / "plain"), "reader": "unlabelled", "evaluate": False, **table},
    ]
    text = "\n".join(
        "[[data]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in one.items())
        for one in tables
    )
    (tmp_path / "run.toml").write_text(
        text + f'\n[coco]\nval = "train2017"\n[distill]\nteacher = "{teacher}"\n'
    )
    return read_data(read_run(str(tmp_path / "run.toml"), {"plugins": ("det",)}, ()), tmp_path)


def test_images_of_any_depth_join_the_training_images_without_labels(
    tmp_path: Path,
) -> None:
    images(tmp_path / "plain")
    data = read(tmp_path, teacher="teacher.safetensors")
    assert data.train.sizes_of_members == (3, 3)
    assert data.val.sizes_of_members == (3,)
    assert [category.name for category in data.train.categories] == ["person", "dog"]
    found = [data.train.image(index) for index in (3, 4, 5)]
    names = [one.path.relative_to(tmp_path / "plain").as_posix() for one in found]
    assert names == ["b.png", "more/2024/a.jpg", "more/c.bmp"]
    assert [(one.height, one.width) for one in found] == [(20, 30), (32, 16), (8, 8)]
    assert [one.has for one in found] == [frozenset()] * 3
    assert not any("teacher" in note for note in data.notes)


def test_without_a_teacher_a_line_says_that_they_teach_nothing(tmp_path: Path) -> None:
    images(tmp_path / "plain")
    (note,) = [note for note in read(tmp_path).notes if "teacher" in note]
    assert note == "data set 'plain': has no labels, and teaches nothing without a teacher (distill.teacher)."


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            {"evaluate": True},
            "plain: images without labels cannot be evaluated; list the folder in a",
        ),
        ({"path": "nowhere"}, "data nowhere: no such folder; give one that holds images"),
        ({"labels": ["boxes"]}, "labels names 'boxes', but no image has it"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    images(tmp_path / "plain")
    with pytest.raises(DataError) as caught:
        read(tmp_path, **table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_images_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(DataError, match=r"plain: holds no image, at any depth; give a folder with files"):
        read(tmp_path)
