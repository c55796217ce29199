"""Results: selecting, joining, and the way to COCO entries and JSON."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances, concatenate
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_core.structures.masks import encode_rle

HAND = KeypointSchema(("palm", "thumb"))
CATEGORIES = Categories((Category(7, "cup"), Category(3, "hand", HAND)))


def some(**changes: Any) -> Instances:
    """Return a cup with a mask, and a hand with two keypoints and a hand without."""
    square = np.zeros((6, 8), bool)
    square[1:3, 2:5] = True
    keypoints = torch.full((3, 2, 3), torch.nan)
    keypoints[1] = torch.tensor([[1.0, 2.0, 0.5], [3.0, 4.0, 0.25]])
    fields: dict[str, Any] = {
        "height": 6,
        "width": 8,
        "categories": CATEGORIES,
        "labels": torch.tensor([0, 1, 1]),
        "scores": torch.tensor([0.75, 0.5, 0.25]),
        "boxes": torch.tensor([[2.0, 1.0, 5.0, 3.0], [0.0, 0.0, 8.0, 6.0], [1.0, 1.0, 2.0, 2.0]]),
        "tasks": ("seg", "pose", "det"),
        "rles": (encode_rle(square), None, None),
        "keypoints": keypoints,
        "image_id": 42,
        "file_name": "a.jpg",
    }
    return Instances(**{**fields, **changes})


def test_coco_entries_have_original_ids_and_only_what_was_found() -> None:
    cup, hand, bare = some().to_coco()
    assert cup["segmentation"]["size"] == [6, 8]
    del cup["segmentation"]
    assert cup == {"id": 1, "image_id": 42, "category_id": 7, "score": 0.75, "bbox": [2, 1, 3, 2]}
    assert hand == {
        "id": 2,
        "image_id": 42,
        "category_id": 3,
        "score": 0.5,
        "bbox": [0, 0, 8, 6],
        "keypoints": [1, 2, 0.5, 3, 4, 0.25],
    }
    assert bare == {"id": 3, "image_id": 42, "category_id": 3, "score": 0.25, "bbox": [1, 1, 1, 1]}


def test_json_is_plain_and_names_things() -> None:
    data = some().to_json()
    assert json.loads(json.dumps(data)) == data
    assert {key: data[key] for key in ("file_name", "image_id", "height", "width")} == {
        "file_name": "a.jpg",
        "image_id": 42,
        "height": 6,
        "width": 8,
    }
    assert [(o["task"], o["category"], o["category_id"]) for o in data["objects"]] == [
        ("seg", "cup", 7),
        ("pose", "hand", 3),
        ("det", "hand", 3),
    ]
    assert all("image_id" not in entry for entry in data["objects"])


def test_masks_at_original_size() -> None:
    masks = some().masks
    assert masks.shape == (3, 6, 8)
    assert masks.sum((1, 2)).tolist() == [6, 0, 0]
    assert bool(masks[0, 1:3, 2:5].all())
    assert Instances.empty(6, 8, CATEGORIES).masks.shape == (0, 6, 8)


@pytest.mark.parametrize(
    "rows", [torch.tensor([True, False, True]), torch.tensor([0, 2]), torch.tensor([0, -1])]
)
def test_selecting(rows: torch.Tensor) -> None:
    picked = some()[rows]
    assert len(picked) == 2
    assert picked.names == ("cup", "hand")
    assert picked.tasks == ("seg", "det")
    assert picked.scores.tolist() == [0.75, 0.25]
    assert picked.boxes[1].tolist() == [1, 1, 2, 2]
    assert picked.rles[0] is not None
    assert picked.rles[1] is None
    assert (picked.image_id, picked.file_name, picked.height) == (42, "a.jpg", 6)


def test_selecting_reorders() -> None:
    assert some()[torch.tensor([2, 0])].tasks == ("det", "seg")


def test_selecting_by_task_and_score() -> None:
    assert some().of("pose").scores.tolist() == [0.5]
    assert len(some().of("depth")) == 0
    assert some().above(0.5).tasks == ("seg", "pose")
    assert len(some().above(2.0)) == 0


def test_rows_of_one_query_and_class_stand_or_fall_together() -> None:
    """Scores are 0.75 of a cup, 0.5 and 0.25 of hands."""
    everything = ("seg", "pose", "det")
    assert some(queries=(5, 4, 4)).above(0.5).tasks == everything
    assert some(queries=(4, 4, 4)).above(0.5).tasks == everything
    assert some(queries=(4, 4, 4)).above(0.6).tasks == ("seg",)  # of one query, but of another class
    assert some(queries=(4, 4, 5)).above(0.5).tasks == ("seg", "pose")
    assert some(queries=(1, None, None)).above(0.5).tasks == ("seg", "pose")  # None is no query
    assert some(queries=(1, 2, None)).above(0.5).tasks == ("seg", "pose")


def test_joining_keeps_the_order_of_the_parts() -> None:
    joined = concatenate([some().of("det"), some().of("seg"), Instances.empty(6, 8, CATEGORIES), some()])
    assert joined.tasks == ("det", "seg", "seg", "pose", "det")
    assert joined[torch.tensor([1])].to_coco() == some().to_coco()[:1]
    assert joined[torch.arange(2, 5)].to_coco() == some().to_coco()
    assert joined.image_id == 42


def test_nothing_found() -> None:
    empty = Instances.empty(6, 8, CATEGORIES, image_id=1, file_name="b.jpg")
    assert len(empty) == 0
    assert empty.to_coco() == []
    assert empty.to_json()["objects"] == []
    assert empty.names == ()
    assert empty.keypoints.shape == (0, 2, 3)
    assert len(empty.of("det")) == len(empty.above(0.0)) == 0


def test_categories_without_keypoints_give_no_keypoints() -> None:
    plain = Categories((Category(1, "cup"),))
    entry = some(
        categories=plain, labels=torch.zeros(3, dtype=torch.int64), keypoints=torch.zeros(3, 0, 3)
    ).to_coco()[1]
    assert "keypoints" not in entry
