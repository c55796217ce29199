"""Several data sets in one run: read, fitted to each other, trained on; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.structures.annotations import UNASKED
from mtvit_core.structures.batch import Batch
from mtvit_train.build.data import RunData, read_data
from mtvit_train.build.label_counts import exposures
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import DataSplit, make_split
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.samples.images import collate
from mtvit_train.scenes.writer import write_scenes
from support import tiny_coco

SMALL = """
plugins = ["det", "seg", "pose"]
[model]
backbone = "vit_tiny_patch16_224"
options = { patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2 }
image_size = [64, 64]
[train]
batch_size = 4
threads = 1
precision = "fp32"
[tasks.det]
queries = 6
[tasks.seg]
queries = 6
[tasks.pose]
queries = 4
"""
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
        text + '\n[coco]\nval = "train2017"\n' + SMALL.replace('plugins = ["det", "seg", "pose"]', "")
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


# Training


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes from one data set, masks from another, keypoints of another skeleton from a third."""
    root = tmp_path_factory.mktemp("three")
    for place, name in enumerate(("boxes", "masks", "keypoints")):
        write_scenes(root / name, train=(6, 4, 2)[place], val=2, seed=place + 5, size=64)
    for split in ("train", "val"):
        path = root / "keypoints" / "annotations" / f"person_keypoints_{split}2017.json"
        document = json.loads(path.read_text())
        (category,) = document["categories"]
        category["keypoints"] = category["keypoints"][5:]
        category["skeleton"], category["sigmas"] = [], [0.1] * 12
        for annotation in document["annotations"]:
            annotation["keypoints"] = annotation["keypoints"][15:]
        path.write_text(json.dumps(document))
    config = "".join(
        f'[[data]]\npath = "{root / name}"\nlabels = ["{name}"]\nweight = {weight}\n'
        for name, weight in (("boxes", 1), ("masks", 2), ("keypoints", 1))
    )
    keypoints_only = '[data.coco]\ninstances = ""\n'
    (root / "run.toml").write_text(SMALL.replace("\n[model]", f"\n{config}{keypoints_only}[model]", 1))
    return root


def split_of(three: Path) -> tuple[RunConfig, Any, DataSplit]:
    config = read_run(str(three / "run.toml"), {"steps": 3}, ())
    data = read_data(config, three)
    model = make_model(config, data.train.categories)
    return config, model, make_split(config, model, data.train, training=True)


def test_absent_labels_give_zero_loss_and_zero_gradient(three: Path) -> None:
    _, model, split = split_of(three)
    dataset = split.views["image"]
    for member, own in zip(split.packed.members, ("det", "seg", "pose"), strict=True):
        batch: Batch = collate([dataset[0, member.first + i] for i in range(2)])
        losses = model.losses(batch)
        model.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for task in ("det", "seg", "pose"):
            total = sum(value.item() for name, value in losses.items() if name.startswith(task))
            gradients = [
                p.grad.abs().max() for p in model.modules_of(task).parameters() if p.grad is not None
            ]
            assert (total > 0, bool(max(gradients) > 0)) == (task == own, task == own), (member.name, task)


def test_what_each_task_sees_is_counted(three: Path) -> None:
    config, model, split = split_of(three)
    seen = {(one.task, one.data): one for one in exposures(config, model, split)}
    assert len(seen) == 9
    assert [seen["det", name].labelled for name in ("boxes", "masks", "keypoints")] == [6, 0, 0]
    assert [seen["seg", name].labelled for name in ("boxes", "masks", "keypoints")] == [0, 4, 0]
    assert [seen["pose", name].labelled for name in ("boxes", "masks", "keypoints")] == [0, 0, 2]
    sampler_keys = [split.mixtures["image"].key(position, 0) for position in range(12)]
    of_masks = sum(6 <= index < 10 for _, index in sampler_keys)
    assert seen["seg", "masks"].samples == of_masks == 6
    assert seen["seg", "masks"].share == 0.5
    assert seen["det", "boxes"].objects == split.packed.first[6]


def test_a_run_on_three_data_sets(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = train(three, "--out", str(out), "--steps", "2")
    assert result.exit_code == 0, result.output
    assert "data set 'keypoints': of the keypoints of 'person', left out" not in result.output
    record = json.loads((out / "data.json").read_text())
    assert len(record["seen"]) == 9
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"det/AP", "seg/AP", "pose/AP"} <= metrics.keys()
    assert all(metrics[f"{task}/AP"] is not None for task in ("det", "seg"))


def train(three: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(three / "run.toml"), *arguments])


def test_a_task_for_which_nothing_is_labelled_is_refused(three: Path, tmp_path: Path) -> None:
    text = (three / "run.toml").read_text().replace('labels = ["masks"]', 'labels = ["boxes"]')
    (tmp_path / "run.toml").write_text(text)
    result = CliRunner().invoke(
        main, ["--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "out")]
    )
    assert result.output == (
        "error: task 'seg': no training image is labelled for it; it needs masks. Add such data, or leave "
        "the task out of plugins.\n"
    )


def test_doctor_checks_every_table(three: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--config", str(three / "run.toml"), "--json"])
    found = json.loads(result.output)
    assert list(found) == ["boxes", "masks", "keypoints"]
    tasks = {name: one["splits"]["train"]["tasks"] for name, one in found.items()}
    assert tasks["boxes"]["seg"]["images"] == 0
    assert tasks["masks"]["seg"]["images"] == 4
    assert np.array([one["verdict"] != "faults" for one in found.values()]).all()
