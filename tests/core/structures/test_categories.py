"""Categories and keypoint schemas: labels, ids, the way to JSON and back, and what is refused."""

import json
from typing import Any

import pytest

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import COCO_CATEGORIES, Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON, KeypointSchema

HAND = KeypointSchema(("palm", "thumb"), skeleton=((0, 1),))
MIXED = Categories((Category(7, "cup"), Category(3, "person", COCO_PERSON), Category(12, "hand", HAND)))


def test_labels_are_places_and_ids_are_kept() -> None:
    assert len(MIXED) == 3
    assert [category.id for category in MIXED] == [7, 3, 12]
    assert MIXED.label_of_id == {7: 0, 3: 1, 12: 2}
    assert MIXED[1].name == "person"
    assert MIXED.keypoint_labels == (1, 2)
    assert MIXED.max_keypoints == 17


def test_without_keypoints() -> None:
    categories = Categories((Category(1, "cup"),))
    assert categories.keypoint_labels == ()
    assert categories.max_keypoints == 0


def test_json_and_back() -> None:
    data = json.loads(json.dumps(MIXED.to_json()))
    assert Categories.from_json(data) == MIXED
    assert data[0] == {"id": 7, "name": "cup", "keypoints": None}


def test_coco_has_80_categories_with_its_ids() -> None:
    assert len(COCO_CATEGORIES) == 80
    names = {category.id: category.name for category in COCO_CATEGORIES}
    assert (names[1], names[13], names[27], names[70], names[90]) == (
        "person",
        "stop sign",
        "backpack",
        "toilet",
        "toothbrush",
    )
    assert set(range(1, 91)) - set(names) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert COCO_CATEGORIES.keypoint_labels == (0,)


def test_a_flip_swaps_left_and_right_and_twice_is_nothing() -> None:
    order = COCO_PERSON.flip_order
    swapped = [COCO_PERSON.names[i] for i in order]
    for name, mirror in zip(COCO_PERSON.names, swapped, strict=True):
        assert mirror == name.replace("left", "?").replace("right", "left").replace("?", "right")
    assert [order[i] for i in order] == list(range(17))


def test_the_skeleton_joins_no_left_limb_to_a_right_one() -> None:
    for a, b in COCO_PERSON.skeleton:
        sides = {COCO_PERSON.names[i].split("_")[0] for i in (a, b)} - {"nose"}
        parts = {COCO_PERSON.names[i].split("_")[-1] for i in (a, b)}
        assert len(sides) == 1 or len(parts) == 1


REFUSED: list[tuple[Any, str]] = [
    (
        lambda: Categories(()),
        "categories: the list is empty; a data set needs at least one category.",
    ),
    (
        lambda: Categories((Category(2, "a"), Category(1, "b"), Category(2, "c"))),
        "categories: id 2 is listed more than once; ids must be unique.",
    ),
    (
        lambda: KeypointSchema(("a", "b"), skeleton=((1, 2),)),
        "keypoint schema: skeleton holds (1, 2), but there are 2 keypoints; use 0-based indices below 2.",
    ),
    (
        lambda: KeypointSchema(("a", "b"), flip_pairs=((-1, 0),)),
        "keypoint schema: flip_pairs holds (-1, 0), but there are 2 keypoints; use 0-based indices below 2.",
    ),
    (
        lambda: KeypointSchema(("a", "b", "c"), flip_pairs=((0, 1), (1, 2))),
        "keypoint schema: flip_pairs holds keypoint 1 (b) more than once; a keypoint has one mirror image "
        "at most.",
    ),
    (
        lambda: KeypointSchema(("a", "b"), sigmas=(0.1,)),
        "keypoint schema: 1 sigmas for 2 keypoints; give one for each, or none.",
    ),
    (
        lambda: KeypointSchema(("a", "b"), sigmas=(0.1, 0.0)),
        "keypoint schema: the sigmas (0.1, 0.0) are not all positive numbers.",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        make()
    assert str(error.value) == message
