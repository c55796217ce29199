"""Dense labels: from files to the canvas and back to metrics; every message is quoted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.plugins.dataset_reader import MapFolder
from mtvit_core.structures.annotations import mirror_map
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.dense_maps import PackedMaps, map_name, read_maps
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.samples.images import ImageDataset, collate
from mtvit_train.data.samples.placement import Placement
from mtvit_train.scenes.scene import render_scene
from mtvit_train.scenes.writer import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of each split."""
    folder = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(folder, train=2, val=2, seed=3, size=64)
    return folder


def test_dense_labels_of_scenes_come_back_as_rendered(scenes: Path) -> None:
    packed = read_coco(scenes, "val")
    assert packed.image(1).has == {
        "boxes",
        "masks",
        "keypoints",
        "image_labels",
        "depth",
        "semantic",
        "normals",
    }
    rendered = render_scene(3, 1, 64, "val")
    found = packed.original(1, {"depth", "semantic", "normals"}).maps
    np.testing.assert_allclose(found["depth"].numpy(), rendered.depth, atol=1 / 65535)
    np.testing.assert_array_equal(found["semantic"].numpy(), rendered.semantic)
    cosine = (found["normals"].numpy() * rendered.normals).sum(0).clip(-1, 1)
    assert np.degrees(np.arccos(cosine)).max() < 0.4


def test_only_wanted_labels_are_read(scenes: Path) -> None:
    packed = read_coco(scenes, "train")
    assert packed.original(0).maps == {}
    assert packed.original(0, {"boxes"}).has == {"boxes"}
    wanted = packed.original(0, {"depth"})
    assert (wanted.has, wanted.masks) == ({"depth"}, None)


def test_labels_move_with_the_image(scenes: Path) -> None:
    packed = read_coco(scenes, "train")
    plain = packed.original(0, {"depth"}).maps["depth"]
    samples = ImageDataset(packed, Letterbox(96, 64), needs=frozenset({"depth"}))
    canvas = samples[0, 0].annotations.maps["depth"]
    assert torch.equal(canvas[:64], plain)
    assert canvas[64:].isnan().all()
    flipped = Placement.letterbox(64, 64, Letterbox(64, 64), flip=True).dense(plain.numpy())
    assert torch.equal(flipped, plain.flip(-1))


def test_a_batch_keeps_each_image_s_labels(scenes: Path) -> None:
    packed = read_coco(scenes, "train")
    both = ImageDataset(packed, Letterbox(64, 64), needs=frozenset({"depth"}))
    none = ImageDataset(packed, Letterbox(64, 64), needs=frozenset({"boxes"}))
    batch = collate([both[0, 0], none[0, 0], both[0, 1]])
    assert [set(entry.maps) for entry in batch.annotations] == [{"depth"}, set(), {"depth"}]
    assert torch.equal(batch.annotations[2].maps["depth"], both[0, 1].annotations.maps["depth"])


def listed(root: Path, *, text: str | None = None, **changes: object) -> Path:
    """A file that lists one dense label."""
    entry = {"name": "depth", "folder": "depth", "scale": 0.5, **changes}
    path = root / "maps.json"
    path.write_text(json.dumps({"maps": [entry]}) if text is None else text)
    return path


def save(path: Path, grey: np.ndarray) -> None:
    """Write a label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


def test_a_label_is_scaled_and_0_is_unknown(tmp_path: Path) -> None:
    save(tmp_path / "depth" / "more" / "a.png", np.array([[0, 1], [2, 65535]], np.uint16))
    maps = read_maps(tmp_path, listed(tmp_path), ["more/a.jpg", "b.jpg"])["depth"]
    assert maps.there.tolist() == [True, False]
    np.testing.assert_array_equal(maps.read("more/a.jpg", (2, 2)), [[np.nan, 0.5], [1, 32767.5]])


def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    assert read_maps(tmp_path, tmp_path / "maps.json", ["a.jpg"]) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"text": "{"},
            "{path}: not a list of dense labels (JSONDecodeError('Expecting property name enclosed in double "
            'quotes: line 1 column 2 (char 1)\')); write {{"maps": [{{"name": "depth", "folder": '
            '"depth/train2017", "scale": 0.001}}]}}.',
        ),
        (
            {"kind": "numbers", "classes": ["sky"]},
            "{path}: dense label 'depth': classes need their names, and only they; list them in classes.",
        ),
        (
            {"classes": ["sky", "sky"]},
            "{path}: dense label 'depth': class 'sky' is listed twice; give each class one name.",
        ),
        (
            {"classes": ["sky"], "ids": [1, 2]},
            "{path}: dense label 'depth': there are 2 ids for 1 classes; list one for each.",
        ),
        (
            {"classes": ["sky"], "ignore": [0]},
            "{path}: dense label 'depth': id 0 is that of a class, and ignored; leave it out of one of them.",
        ),
        (
            {"kind": "colours"},
            "{path}: not a list of dense labels (ValueError(\"kind 'colours' is unknown; allowed are "
            'numbers, classes, directions")); write {{"maps": [{{"name": "depth", "folder": '
            '"depth/train2017", "scale": 0.001}}]}}.',
        ),
        (
            {"clases": ["sky"]},
            "{path}: not a list of dense labels (ValueError(\"'clases' is unknown; allowed are classes, "
            'folder, ids, ignore, kind, name, scale")); write {{"maps": [{{"name": "depth", "folder": '
            '"depth/train2017", "scale": 0.001}}]}}.',
        ),
        (
            {"name": "masks"},
            "{path}: 'masks' is a label of objects; give the dense label another name.",
        ),
        (
            {"folder": "far"},
            "{path}: 'depth' should be in {folder}/far, but there is no such folder; correct it.",
        ),
        (
            {},
            "{path}: no image of the split has a label in {folder}/depth; name the files as the images, as "
            "in a.png.",
        ),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "depth").mkdir()
    path = listed(tmp_path, **changes)
    with pytest.raises(DataError) as caught:
        read_maps(tmp_path, path, ["a.jpg"])
    assert str(caught.value) == message.format(path=path, folder=tmp_path)


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    maps = PackedMaps(MapFolder(tmp_path), np.ones(1, bool))
    save(tmp_path / map_name("a.jpg"), np.zeros((3, 2), np.uint8))
    with pytest.raises(DataError) as caught:
        maps.read("a.jpg", (2, 3))
    assert str(caught.value) == (
        f"{tmp_path}/a.png: the label has 2 x 3 pixels, its image 3 x 2; make them equal."
    )
    save(tmp_path / "b.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError) as caught:
        maps.read("b.jpg", (2, 3))
    assert str(caught.value) == (
        f"{tmp_path}/b.png: its pixels are 'RGB'; a dense label is a grey PNG of 8 or 16 bits."
    )
    (tmp_path / "c.png").write_bytes(b"torn")
    with pytest.raises(
        DataError, match=r"c\.png: not a readable image \(cannot identify image file .*\); write"
    ):
        maps.read("c.jpg", (2, 3))


def test_classes_are_numbered_by_their_place_and_ignored_ids_are_unknown(tmp_path: Path) -> None:
    ids = np.array([[7, 11], [255, 7]], np.uint8)
    save(tmp_path / "depth" / "a.png", ids)
    entry = {"classes": ["road", "sky"], "ids": [11, 7], "ignore": [255]}
    maps = read_maps(tmp_path, listed(tmp_path, **entry), ["a.jpg"])["depth"]
    np.testing.assert_array_equal(maps.read("a.jpg", (2, 2)), [[1, 0], [np.nan, 1]])
    other = maps.fitted(["sky", "tree", "road"], "data set 'one'")
    np.testing.assert_array_equal(other.read("a.jpg", (2, 2)), [[0, 2], [np.nan, 0]])
    with pytest.raises(DataError) as caught:
        maps.fitted(["sky", "roads"], "data set 'one'")
    assert str(caught.value) == (
        "data set 'one': class 'road' is none of the 2 that the model knows. Did you mean 'roads'?"
    )


def test_an_id_that_is_no_class_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "depth" / "a.png", np.array([[0, 3]], np.uint8))
    maps = read_maps(tmp_path, listed(tmp_path, classes=["road", "sky"]), ["a.jpg"])["depth"]
    with pytest.raises(DataError) as caught:
        maps.read("a.jpg", (1, 2))
    assert str(caught.value) == (
        f"{tmp_path}/depth/a.png: a pixel has the id 3, which is none of the 2 classes; add it to classes "
        "and ids, or to ignore."
    )


def test_directions_are_colours_or_arrays(tmp_path: Path) -> None:
    save(tmp_path / "depth" / "a.png", np.array([[[128, 128, 255], [0, 0, 0], [255, 128, 128]]], np.uint8))
    maps = read_maps(tmp_path, listed(tmp_path, kind="directions"), ["a.jpg"])["depth"]
    found = maps.read("a.jpg", (1, 3))
    np.testing.assert_allclose(found[:, 0, 0], [0, 0, 1], atol=0.01)
    assert np.isnan(found[:, 0, 1]).all()
    np.testing.assert_allclose(np.linalg.norm(found[:, 0, 2]), 1, rtol=1e-6)

    (tmp_path / "depth" / "a.png").unlink()
    vectors = np.array([[[0, 0, 2], [0, 0, 0], [0.6, -0.8, 0]]], np.float32)
    np.save(tmp_path / "depth" / "a.npy", vectors)
    maps = read_maps(tmp_path, listed(tmp_path, kind="directions"), ["a.jpg"])["depth"]
    np.testing.assert_array_equal(
        maps.read("a.jpg", (1, 3)).transpose(1, 2, 0), [[[0, 0, 1], [np.nan] * 3, vectors[0, 2]]]
    )


def test_a_flip_turns_directions_round() -> None:
    values = np.stack([np.full((2, 4), 0.6), np.zeros((2, 4)), np.full((2, 4), 0.8)]).astype(np.float32)
    values[:, :, 0] = np.nan
    placed = Placement((2, 4), (2, 4), (2, 4), flip=True).dense(values)
    np.testing.assert_array_equal(placed[0].numpy(), [[-np.float32(0.6)] * 3 + [np.nan]] * 2)
    np.testing.assert_array_equal(placed[2, :, 0].numpy(), [np.float32(0.8)] * 2)
    assert torch.equal(mirror_map(torch.ones(2, 4)), torch.ones(2, 4))  # numbers have no side
