"""COCO's panoptic format: from colours to segments, through merges; every message is quoted."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import NO_SEGMENT
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from mtvit_train.data.merging.concatenation import pool
from mtvit_train.data.merging.fit_to_model import fit, keep_labels
from support.tasks.panoptic_files import FACTOR, GROUND, write_panoptic, write_png
from support.training import tiny_coco


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tiny data set with panoptic files: a person and a dog, a crowd, an empty image."""
    write_panoptic(tiny_coco.write(tmp_path), "train")
    return tmp_path


def changed(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON."""
    path = root / "annotations" / "panoptic_train2017.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_segments_are_the_masks_they_were_made_of(root: Path) -> None:
    packed = read_coco(root, "train")
    packed.check_segments()
    for index in range(3):
        truth = packed.original(index, {"masks", "segments"})
        assert truth.masks is not None
        found = truth.segments
        assert found is not None
        assert found.labels.tolist() == truth.labels.tolist()
        assert found.is_crowd.tolist() == truth.is_crowd.tolist()
        assert found.known.all()
        for m, mask in enumerate(truth.masks, start=1):
            assert torch.equal(found.ids == m, mask)
        # The data set knows no ground.
        assert torch.equal(found.ids == NO_SEGMENT, ~truth.masks.any(0))


def test_they_are_read_where_asked_for(root: Path) -> None:
    packed = read_coco(root, "train")
    assert packed.original(0).segments is None
    assert read_coco(root, "train", CocoConfig(panoptic="")).segments(0) is None
    (root / "annotations" / "panoptic_train2017.json").unlink()
    assert read_coco(root, "train").original(0, {"segments"}).segments is None


def test_a_model_of_more_classes_knows_the_ground(root: Path) -> None:
    kinds = (Category(18, "dog"), Category(GROUND["id"], "ground"), Category(1, "person"), Category(2, "sky"))
    packed = read_coco(root, "train", CocoConfig(keypoints=""))
    found = fit(packed, Categories(kinds), "id", "data").segments(0)
    assert found is not None
    assert found.labels.tolist() == [1, 2, 0]
    assert found.known.tolist() == [True, True, True, False]
    assert not (found.ids == NO_SEGMENT).any()


def test_pooled_data_sets_keep_theirs(root: Path) -> None:
    packed = read_coco(root, "train")
    both = pool([packed, packed])
    for index in range(3):
        one, two = both.segments(index), both.segments(index + 3)
        assert one is not None
        assert two is not None
        assert torch.equal(one.ids, two.ids)
    assert keep_labels(packed, ["boxes"], "here").segments(0) is None


def test_unknown_pixels_and_images_that_are_not_listed(root: Path) -> None:
    packed = read_coco(root, "train")
    names = [packed.image(i).file_name for i in range(3)]
    ids = np.full((30, 40), FACTOR)
    ids[:5] = 0
    write_png(root / "annotations" / "panoptic_train2017" / "a.png", ids)

    def one_segment(document: dict[str, Any]) -> None:
        first, *_ = document["annotations"]
        first["segments_info"] = first["segments_info"][:1]
        document["annotations"] = [first]

    changed(root, one_segment)
    assert names[0] == "a.png"
    packed.check_segments()
    found, other = packed.segments(0), packed.segments(1)
    assert found is not None
    assert other is not None
    assert (found.ids[:5] == 0).all()
    assert (found.ids[5:] == NO_SEGMENT).all()
    assert not other.ids.any()
    assert not other.known.any()


def refused(root: Path) -> str:
    """The line that reading ends with; ``{j}`` and ``{p}`` stand for the JSON and the folder."""
    packed = read_coco(root, "train")

    def read() -> None:
        packed.check_segments()
        packed.segments(0)

    with pytest.raises(DataError) as caught:
        read()
    text = str(caught.value)
    assert "\n" not in text
    folder = root / "annotations" / "panoptic_train2017"
    return text.replace(f"{folder}.json", "{j}").replace(str(folder), "{p}")


def _first(document: dict[str, Any], **changes: Any) -> None:
    document["annotations"][0]["segments_info"][1].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["categories"][0].update(name="Person"),
            "{j}: category 1 is 'Person' here and 'person' in the other annotation files; make them equal.",
        ),
        (
            lambda d: d["annotations"].append(d["annotations"][0]),
            "{j}: image 7 is annotated more than once; keep one entry.",
        ),
        (
            lambda d: _first(d, category_id=77),
            f"{{j}}: image 7: segment {2 * FACTOR} has category 77, which 'categories' does not list; add or "
            "correct it.",
        ),
        (
            lambda d: _first(d, id=0),
            "{j}: image 7: a segment has id 0; ids are from 1, 0 is for unknown pixels.",
        ),
        (
            lambda d: _first(d, id=FACTOR),
            "{j}: image 7: a segment id is listed more than once; ids must be unique.",
        ),
        (
            lambda d: _first(d, id=5),
            "{p}/a.png: segment 140002 is in the pixels only; panoptic_train2017.json and the PNG must hold "
            "the same segments.",
        ),
        (
            lambda d: d["annotations"][0]["segments_info"].append({"id": 5, "category_id": 1}),
            "{p}/a.png: segment 5 is in the list only; panoptic_train2017.json and the PNG must hold the "
            "same segments.",
        ),
        (
            lambda d: d["annotations"][0].pop("segments_info"),
            "{j}: image 7 has no 'segments_info'; add it, as COCO's format asks.",
        ),
        (
            lambda d: d["annotations"][0].update(file_name="z.png"),
            "{p}/z.png: no such file, though panoptic_train2017.json names it (1 of 3 are missing); add the "
            "files, or name their folder with coco.panoptic_maps.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    root: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    changed(root, change)
    assert refused(root) == message


def test_pictures_that_are_none_are_refused(root: Path) -> None:
    png = root / "annotations" / "panoptic_train2017" / "a.png"
    Image.new("L", (40, 30)).save(png)
    assert refused(root) == "{p}/a.png: its pixels are 'L'; segments are an RGB PNG of 8 bits."
    Image.new("RGB", (30, 40)).save(png)
    assert refused(root) == (
        "{p}/a.png: the segments have 30 x 40 pixels, their image 40 x 30; make them equal."
    )
    png.write_bytes(b"torn")
    assert refused(root).startswith("{p}/a.png: not a readable image (")
    assert refused(root).endswith("); write segments as an RGB PNG.")
    (root / "annotations" / "panoptic_train2017.json").write_text("[]")
    assert refused(root) == "{j}: holds a list; a COCO file holds one object."


def test_a_split_without_segments_needs_no_check(root: Path) -> None:
    packed = read_coco(root, "train")
    (member,) = packed.members
    replace(packed, members=(replace(member, segments=None),)).check_segments()
