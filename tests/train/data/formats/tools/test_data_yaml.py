"""Ultralytics' ``data.yaml``: paths as people have them, and what is said of files that lack something."""

from pathlib import Path

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.tools.data_yaml import read_data_yaml
from mtvit_train.data.formats.tools.ultralytics import ultralytics
from support.data_sets.objects import image


def yaml(folder: Path, text: str, name: str = "data.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "value",
    [
        "images/train",
        "./images/train/",
        "../images/train",
        "data/images/train",
        "C:\\\\work\\\\images\\\\train",
    ],
)
def test_a_folder_is_found_from_the_yaml(value: str, tmp_path: Path) -> None:
    here = image(tmp_path / "images" / "train" / "deep" / "a.png", 0)
    found = read_data_yaml(yaml(tmp_path, f'train: "{value}"\nnames: [cat]\n'))
    assert found.images("train") == [here]


def test_roots_and_lists_are_followed(tmp_path: Path) -> None:
    one, two = image(tmp_path / "set" / "a" / "1.png", 0), image(tmp_path / "set" / "b" / "2.png", 1)
    (tmp_path / "set" / "list.txt").write_text("./b/2.png\n\n")
    found = read_data_yaml(
        yaml(tmp_path, "path: set\ntrain: [a, list.txt]\nval: list.txt\nnames: {0: cat}\n")
    )
    assert found.images("train") == [one, two]
    assert found.images("val") == [two]


def test_names_may_be_a_list_a_table_or_a_number(tmp_path: Path) -> None:
    for text in ("names: [a, b]", "names: {1: b, 0: a}", "nc: 2\nnames: [a, b]"):
        assert read_data_yaml(yaml(tmp_path, f"train: x\n{text}\n")).names == {0: "a", 1: "b"}
    assert read_data_yaml(yaml(tmp_path, "train: x\nnc: 2\n")).names == {0: "class_0", 1: "class_1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "holds [1]; it must be a table"),
        ("train: [", "malformed YAML:"),
        ("train: x\nnames: 3", "names is 3; list the classes, or number them from 0."),
        ("train: x\nnc: 3\nnames: [a]", "nc is 3, but names holds 1; make them agree."),
        ("train: 4\nnames: [a]", "train is 4; give a path, or a list of paths."),
        ("train: x\nnames: [a]\nkpt_shape: 4", "kpt_shape is 4; give the number of keypoints, and 2 or 3."),
        (
            "train: x\nnames: [a]\nkpt_shape: [2, 3]\nkpt_names: {0: [e]}",
            "kpt_names of class 0 is ['e']; give 2",
        ),
        (
            "train: x\nnames: [a]\nkpt_shape: [2, 3]\nflip_idx: [0]",
            "flip_idx is [0]; it must hold the numbers",
        ),
        ("train: x\nnames: [a]\nkpt_shape: [3, 3]\nflip_idx: [1, 2, 0]", "flip_idx [1, 2, 0] does not swap"),
    ],
)
def test_a_malformed_yaml_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = yaml(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_data_yaml(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert "\n" not in str(caught.value)


def test_a_path_that_leads_nowhere_is_told_with_what_is_there(tmp_path: Path) -> None:
    path = yaml(tmp_path, "train: imgs/train\nnames: [a]\n")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"there is no 'imgs/train'; beside the file are data.yaml, images"):
        read_data_yaml(path).images("train")


def test_val_that_is_not_there_is_a_share_of_train_and_said(tmp_path: Path) -> None:
    yaml(tmp_path, "train: ../train/images\nval: ../valid/images\nnames: [a]\n")
    image(tmp_path / "train" / "images" / "a.png", 0)
    plan = ultralytics(tmp_path)
    assert plan is not None
    assert plan.shared
    assert "val: a share of train (../valid/images is not there)" in plan.line


def test_of_two_yamls_one_is_to_be_named(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        yaml(tmp_path, "train: x\nval: y\nnames: [a]\n", name)
    with pytest.raises(DataError, match=r"may be read by one.yaml, two.yaml; give the file instead"):
        ultralytics(tmp_path)
    assert ultralytics(tmp_path / "two.yaml") is not None
