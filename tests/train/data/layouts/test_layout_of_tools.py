"""Folders as tools and sets of the field write them: found, read, trained and evaluated without a setting."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mtvit_train.build.data import RunData, read_data
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig
from mtvit_train.data.packed import PackedAnnotations
from support.data_sets.layouts import LAYOUTS
from support.data_sets.objects import BOXES
from support.data_sets.tools import voc_xml

#: A model that trains in no time; nothing of it is about data.
TINY = (
    "model.backbone=vit_tiny_patch16_224",
    "model.options={depth=1}",
    "model.image_size=[32,32]",
    "train.batch_size=2",
    "train.threads=1",
)


def write(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    LAYOUTS[name][0](root)
    return root


def read(root: Path, *plugins: str) -> RunData:
    return read_data(RunConfig(plugins=plugins or ("det",), data=str(root)), root)


def posed(packed: PackedAnnotations) -> np.ndarray:
    """Keypoints of the first object."""
    return packed.keypoints[packed.keypoint_rows[0]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_found_and_read(name: str, tmp_path: Path) -> None:
    _, tasks, said = LAYOUTS[name]
    data = read(write(tmp_path / "data", name), *tasks.split(","))
    assert said in data.notes[0]
    for split in (data.train, data.val):
        assert len(split) >= 1
        needs = {"det": 1, "seg": 2, "pose": 4}
        assert all((split.has & needs[task]).all() for task in tasks.split(","))
        x, y, w, h = BOXES[0]
        if name != "mpii":  # whose boxes follow from a scale
            shown = np.flatnonzero(np.diff(split.first))[0]
            assert np.allclose(split.boxes[split.first[shown]], [x, y, x + w, y + h], atol=1e-4)


#: Of these a run is among the fast tests.
_FAST = ("ultralytics-segment", "ultralytics-pose", "voc", "lvis")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in _FAST else pytest.mark.slow) for n in LAYOUTS]
)
def test_a_fresh_folder_becomes_an_evaluated_model(name: str, tmp_path: Path) -> None:
    root, out = write(tmp_path / "data", name), tmp_path / "run"
    settings = [part for value in TINY for part in ("--set", value)]
    arguments = ["--plugins", LAYOUTS[name][1], "--data", str(root), "--out", str(out), "--steps", "1"]
    told = CliRunner().invoke(main, ["doctor", "--data", str(root), "--json"])
    assert told.exit_code in (0, 1), told.output  # it says that training would run
    result = CliRunner().invoke(main, [*arguments, *settings])
    assert result.exit_code == 0, result.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert "det/AP" in json.dumps(metrics)
    assert (out / "model.safetensors").is_file()


def test_an_image_without_a_label_file_shows_nobody(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "ultralytics-detect"))
    assert np.diff(data.train.first).tolist() == [0, 2, 2]
    assert data.train.has.tolist() == [1, 1, 1]


def test_flip_idx_and_names_of_keypoints_are_those_of_the_yaml(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "ultralytics-pose"), "pose")
    schema = data.train.categories[0].keypoints
    assert schema is not None
    assert schema.names == ("nose", "ear-1", "ear-2", "tail")
    assert schema.flip_pairs == ((1, 2),)


def test_17_keypoints_that_flip_as_coco_s_are_a_person_s(tmp_path: Path) -> None:
    root = write(tmp_path / "data", "ultralytics-pose")
    for path in root.glob("labels/*/*.txt"):
        path.write_text("0 0.5 0.5 0.5 0.5 " + "0.5 0.5 " * 16 + "0 0\n")
    flips = [0, *(j for i in range(1, 17, 2) for j in (i + 1, i))]
    (root / "animals.yaml").write_text(
        f"train: images/train\nval: images/val\nkpt_shape: [17, 2]\nflip_idx: {flips}\nnames: [person]\n"
    )
    data = read(root, "pose")
    schema = data.train.categories[0].keypoints
    assert schema is not None
    assert (schema.names[5], schema.sigmas[0]) == ("left_shoulder", 0.026)
    assert posed(data.train)[:, 2].tolist() == [2] * 16 + [0]


def test_whole_bodies_have_133_points_and_an_invalid_part_has_none(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "whole-body"), "pose")
    schema = data.train.categories[0].keypoints
    assert schema is not None
    assert (len(schema.names), len(schema.flip_pairs), schema.names[91]) == (133, 61, "left_hand_root")
    assert posed(data.train)[:, 2].tolist() == [2] * 112 + [0] * 21


@pytest.mark.parametrize(
    ("name", "points", "pairs", "sigma"),
    [("halpe", 136, 61, 0.08), ("crowdpose", 14, 6, 0.079), ("ap-10k", 17, 7, 0.025), ("mpii", 16, 6, 0.062)],
)
def test_known_sets_have_their_pairs_and_sigmas(
    name: str, points: int, pairs: int, sigma: float, tmp_path: Path
) -> None:
    data = read(write(tmp_path / "data", name), "pose")
    schema = data.train.categories[0].keypoints
    assert schema is not None
    assert (len(schema.names), len(schema.flip_pairs)) == (points, pairs)
    assert sigma in schema.sigmas
    assert not [note for note in data.notes if note.startswith("SIGMAS")]


def test_crowdpose_s_areas_are_those_of_its_own_evaluation(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "crowdpose"), "pose")
    assert np.allclose(data.train.areas[:2], [0.53 * 20 * 16, 0.53 * 24 * 30])


def test_lvis_s_lists_say_what_is_annotated_in_an_image(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "lvis"))
    names = [category.name for category in data.train.categories]
    known = [data.train.annotated(i) for i in range(3)]
    assert names == ["cat", "dog", "owl"]
    # cat has an object; dog is not exhaustive; owl has an object, or was looked for in vain.
    assert [None if one is None else one.tolist() for one in known] == [[True, False, True]] * 3


def test_roboflow_s_root_is_no_category(tmp_path: Path) -> None:
    data = read(write(tmp_path / "data", "roboflow"))
    assert [category.name for category in data.train.categories] == ["cat", "dog"]


def test_voc_s_own_boxes_count_from_1_and_difficult_objects_are_crowds(tmp_path: Path) -> None:
    root = write(tmp_path / "data", "voc")
    for path in root.glob("Annotations/*.xml"):
        path.write_text(
            voc_xml("other.jpg", "The VOC2007 Database", 1).replace("<difficult>0", "<difficult>1", 1)
        )
    data = read(root)
    assert data.train.boxes[:2].tolist() == [[4, 6, 24, 22], [30, 12, 54, 42]]
    assert data.train.crowd[:2].tolist() == [True, False]
    assert any("3 objects marked as difficult" in note for note in data.notes)
