"""Several data sets in one run: read and fitted to each other; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.structures.annotations import UNASKED
from mtvit_train.build.data import RunData, read_data
from mtvit_train.config.run import RunConfig, read_run
from support.training import tiny_coco
from support.training.run_cases import SMALL_FILE

Edit = Callable[[tiny_coco.Documents], object]


def tiny(root: Path, edit: Edit = lambda files: None) -> Path:
    """The tiny data set, edited, in both splits."""
    files = tiny_coco.documents()
    edit(files)
    return tiny_coco.write(root, files)


def settings(tmp_path: Path, tables: list[dict[str, Any]], more: str = "") -> RunConfig:
    """A run on these tables; val is the training split of the tiny data set."""
    text = more + "\n".join(
        "[[data]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for table in tables
    )
    path = tmp_path / "run.toml"
    path.write_text(
        text + '\n[coco]\nval = "train2017"\n' + SMALL_FILE.replace('plugins = ["det", "seg", "pose"]', "")
    )
    return read_run(str(path), {"plugins": ("det", "seg", "pose")}, ())


def both(tmp_path: Path, first: Edit, second: Edit, more: str = "", **labels: Any) -> RunData:
    """Two edited copies of the tiny data set, read together."""
    paths = [tiny(tmp_path / name, edit) for name, edit in (("one", first), ("two", second))]
    tables = [{"path": str(path), **labels.get(path.name, {})} for path in paths]
    return read_data(settings(tmp_path, tables, more), tmp_path)


def message(tmp_path: Path, first: Edit, second: Edit, more: str = "", **labels: Any) -> str:
    with pytest.raises(DataError) as caught:
        both(tmp_path, first, second, more, **labels)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(files: tiny_coco.Documents) -> None:
    """Leave a data set as it is."""


def rename(number: int, **change: Any) -> Edit:
    """Change a category wherever it is listed, and the annotations of it."""

    def edit(files: tiny_coco.Documents) -> None:
        for document in files.values():
            for category in document["categories"]:
                if category["id"] == number:
                    category.update(change)
            for annotation in document["annotations"]:
                if annotation["category_id"] == number:
                    annotation["category_id"] = change.get("id", number)

    return edit


# Reading


def test_two_data_sets_become_one_and_keep_their_files(tmp_path: Path) -> None:
    data = both(tmp_path, same, same)
    train = data.train
    assert [member.name for member in train.members] == ["one", "two"]
    assert train.sizes_of_members == (3, 3)
    assert train.image_ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert train.ids.tolist() == [1, 2, 3, 4, 5, 6]
    names = [train.image(i).path.relative_to(tmp_path) for i in (0, 3)]
    assert names == [Path("one/train2017/a.png"), Path("two/train2017/a.png")]
    for index in range(3):
        one, two = train.original(index), train.original(index + 3)
        assert torch.equal(one.boxes, two.boxes)
        assert one.masks is not None
        assert two.masks is not None
        assert torch.equal(one.masks, two.masks)
        assert one.keypoints is not None
        assert two.keypoints is not None
        assert torch.equal(one.keypoints, two.keypoints)
    assert data.notes == (SIGMAS,)


SIGMAS = (
    "SIGMAS of category 'person' are not given: its poses are scored with 0.05 for each keypoint, so AP "
    "compares with no published one. Give your own by keypoints.person.sigmas."
)


def test_labels_of_a_table_are_what_counts(tmp_path: Path) -> None:
    train = both(tmp_path, same, same, one={"labels": ["boxes"]}, two={"labels": ["keypoints"]}).train
    assert [train.image(i).has for i in (0, 3)] == [{"boxes"}, {"keypoints"}]


def test_categories_that_a_data_set_does_not_list_are_not_annotated_there(tmp_path: Path) -> None:
    def people_only(files: tiny_coco.Documents) -> None:
        files["instances"]["categories"] = [c for c in files["instances"]["categories"] if c["id"] == 1]
        files["instances"]["annotations"] = [a for a in files["instances"]["annotations"] if a["id"] != 102]

    train = both(tmp_path, people_only, same).train
    assert [category.name for category in train.categories] == ["person", "dog"]
    assert [train.annotated(index) is None for index in (2, 3)] == [False, True]
    first = train.annotated(0)
    assert first is not None
    assert first.tolist() == [True, False]


def test_merging_by_name_renumbers_and_says_so(tmp_path: Path) -> None:
    def second(files: tiny_coco.Documents) -> None:
        rename(1, id=30)(files)
        rename(18, id=1, name="cat")(files)

    data = both(tmp_path, same, second, 'merge = "name"\n')
    assert [(c.id, c.name) for c in data.train.categories] == [(1, "person"), (18, "dog"), (31, "cat")]
    assert data.notes == (
        SIGMAS,
        "data set 'two': 'cat' has id 31 instead of 1, 'person' has id 1 instead of 30.",
    )
    assert data.train.labels.tolist() == [0, 1, 0, 0, 2, 0]


def other_skeleton(files: tiny_coco.Documents) -> None:
    """Another skeleton of the same category: one keypoint in common."""
    (category,) = files["keypoints"]["categories"]
    category.update(keypoints=["head", "right_eye"], skeleton=[])
    for annotation in files["keypoints"]["annotations"]:
        posed = annotation["id"] == 101
        annotation["keypoints"] = [5, 7, 2, 9, 7.5, 1] if posed else [0] * 6


def test_another_skeleton_is_mapped_by_the_names_of_its_keypoints(tmp_path: Path) -> None:
    data = both(tmp_path, same, other_skeleton)
    points = data.train.original(3).keypoints
    assert points is not None
    (person,) = points[points[..., 2].abs().sum(1) > 0]
    assert person.tolist() == [[0, 0, UNASKED], [0, 0, UNASKED], [9, 7.5, 1]]
    assert data.notes == (
        SIGMAS,
        "data set 'two': of the keypoints of 'person', left out: head; not annotated: nose, left_eye.",
    )


def test_people_without_a_common_labelled_keypoint_have_no_pose(tmp_path: Path) -> None:
    def head_only(files: tiny_coco.Documents) -> None:
        other_skeleton(files)
        files["keypoints"]["annotations"][0]["keypoints"] = [5, 7, 2, 0, 0, 0]

    train = both(tmp_path, same, head_only).train
    assert (train.keypoint_rows >= 0).tolist() == [True, False, False, False, False, False]


# What is refused


def test_an_id_with_two_names_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, same, rename(18, name="cat")) == (
        "data sets 'one' and 'two': category 18 is 'dog' in the one and 'cat' in the other; make them equal, "
        'or merge by name: merge = "name".'
    )


def test_a_name_with_two_ids_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, same, rename(18, id=19)) == (
        "data sets 'one' and 'two': 'dog' is category 18 in the one and 19 in the other; make them equal, "
        'or merge by name: merge = "name".'
    )


def test_a_name_that_stands_twice_in_a_data_set_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, same, rename(18, name="person")) == (
        "data set 'two': categories 1 and 18 are both called 'person'; give each its own name, by which data "
        "sets are merged."
    )


def test_a_skeleton_of_unknown_keypoints_is_refused_unless_left_out(tmp_path: Path) -> None:
    def unknown(files: tiny_coco.Documents) -> None:
        files["keypoints"]["categories"][0]["keypoints"] = ["head", "tail", "paw"]
        files["keypoints"]["categories"][0]["skeleton"] = []

    assert message(tmp_path, same, unknown) == (
        "data set 'two': none of the keypoints of 'person' (head, tail, paw, ...) is known by its name; "
        "known are nose, left_eye, right_eye. Name them alike, or leave keypoints out of its labels."
    )
    train = both(tmp_path, same, unknown, two={"labels": ["boxes", "masks"]}).train
    assert train.image(3).has == {"boxes", "masks"}


def test_labels_that_a_data_set_does_not_have_are_refused(tmp_path: Path) -> None:
    assert message(tmp_path, same, same, two={"labels": ["depth"]}) == (
        "data set 'two', train: labels names 'depth', but no image has it; it has boxes, masks, keypoints."
    )


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (
            [{"path": "a", "wieght": 2}],
            "config: data.0.wieght is not a setting. Did you mean 'weight'? Settings of data.0: coco, "
            "evaluate, labels, name, path, reader, weight.",
        ),
        ([{"name": "a"}], "config: data.0.path is missing; it has no default."),
        ([{"path": "a", "weight": 0}], "config: data.0.weight is 0: input should be greater than 0."),
        ([{"path": "x/a"}, {"path": "y/a"}], "data: two tables are called 'a'; give each a name of its own."),
        (
            [{"path": "a", "weight": 2}, {"path": "b"}],
            "data: table 'b' has no weight, others have; give every table one, or none.",
        ),
        (
            [{"path": "a", "evaluate": False}],
            "data: no table is evaluated; leave evaluate = false out of one.",
        ),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    tmp_path: Path, tables: list[dict[str, Any]], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, tables)
    assert str(caught.value) == expected
