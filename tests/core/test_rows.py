"""Objects of a result are chosen as rows of a list are, and what is no index is one line."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from mtvit_core.errors import DataError, ShapeError
from mtvit_core.results.image_result import ImageResult
from mtvit_core.rows import places
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances

CATEGORIES = Categories((Category(7, "cup"), Category(3, "hand")))


def five(**changes: Any) -> Instances:
    """Five objects, told apart by their scores."""
    fields: dict[str, Any] = {
        "height": 20,
        "width": 30,
        "categories": CATEGORIES,
        "labels": torch.tensor([0, 1, 0, 1, 0]),
        "scores": torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]),
        "boxes": torch.tensor([[1.0, 2.0, 5.0, 9.0]]).repeat(5, 1),
        "tasks": ("det",) * 5,
        "rles": (None,) * 5,
        "keypoints": torch.zeros(5, 0, 3),
        "queries": (4, 3, 2, 1, 0),
    }
    return Instances(**{**fields, **changes})


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int64(2), [2]),
        (torch.tensor(3), [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [4, 2, 0]),
        ([4, 0], [4, 0]),
        ((1, -5), [1, 0]),
        (range(2, 4), [2, 3]),
        (np.array([3, 3], np.uint8), [3, 3]),
        (torch.tensor([2, -1]), [2, 4]),
        ([True, False, True, False, False], [0, 2]),
        (np.array([False] * 4 + [True]), [4]),
        (torch.tensor([False] * 5), []),
        ([], []),
        (np.zeros(0), []),
    ],
)
def test_every_form_of_an_index(rows: Any, wanted: list[int]) -> None:
    found = five()
    for result in (found, ImageResult(found)):
        chosen = result[rows]
        assert isinstance(chosen, Instances)
        assert chosen.scores.tolist() == found.scores[wanted].tolist()
        assert chosen.queries == tuple(4 - row for row in wanted)


def test_places_are_those_of_a_list() -> None:
    ends = [None, *range(-8, 9)]
    for count in range(5):
        items = list(range(count))
        for row in range(-8, 9):
            if -count <= row < count:
                assert places(row, count).tolist() == [items[row]]
            else:
                with pytest.raises(IndexError):
                    places(row, count)
        for cut in (slice(a, b, step) for a in ends for b in ends for step in (None, 1, 2, -1, -3)):
            assert places(cut, count).tolist() == items[cut]


def test_iteration_gives_one_result_per_object_and_ends() -> None:
    for result in (five(), ImageResult(five())):
        assert [(len(one), one.queries) for one in result] == [(1, (4 - i,)) for i in range(5)]
    assert list(Instances.empty(4, 4, CATEGORIES)) == []


def test_a_place_beyond_the_end_is_an_index_error() -> None:
    for row in (5, -6, [0, 9]):
        with pytest.raises(IndexError) as error:
            five()[row]
        number = row[-1] if isinstance(row, list) else row
        assert str(error.value) == f"result: there is no object {number}; there are 5, counted from 0."
    with pytest.raises(IndexError) as error:
        five()[torch.tensor([True, False])]
    assert str(error.value) == "result: there are 2 truth values for 5 objects."


@pytest.mark.parametrize("rows", [1.5, "0", None, {"a": 1}, [0.5], np.zeros((2, 2), int), torch.ones(5)])
def test_what_is_no_index_is_one_line(rows: Any) -> None:
    with pytest.raises(ShapeError) as error:
        places(rows, 5)
    assert str(error.value).endswith(
        " is no index; give a whole number, a slice, or a list, an array or a tensor of whole numbers or of "
        "truth values, one per object."
    )
    assert "\n" not in str(error.value)


def test_boxes_are_clipped_to_the_image() -> None:
    found = five(
        boxes=torch.tensor([[-3.0, -4.0, 35.0, 25.0], [28.0, 18.0, 50.0, 60.0]] + [[1.0, 2.0, 5.0, 9.0]] * 3)
    )
    assert found.boxes.tolist() == [[0, 0, 30, 20], [28, 18, 30, 20]] + [[1, 2, 5, 9]] * 3


def test_ids_of_numpy_become_plain_numbers() -> None:
    categories = Categories((Category(np.int16(12), "cup"), Category(np.uint64(5), np.str_("hand"))))
    assert [type(category.id) for category in categories] == [int, int]
    found = five(categories=categories)
    entries = json.loads(json.dumps([found.to_coco(), found.to_json(), categories.to_json()]))
    assert [entry["category_id"] for entry in entries[0]] == [12, 5, 12, 5, 12]
    assert Categories.from_json(entries[2]) == categories


@pytest.mark.parametrize("id_", [1.0, "1", None, True])
def test_ids_that_are_no_whole_numbers_are_refused(id_: Any) -> None:
    with pytest.raises(DataError) as error:
        Category(id_, "cup")
    assert str(error.value) == f"category 'cup': its id is {id_!r}; give a whole number."


def test_names_that_are_no_text_are_refused() -> None:
    name: Any = 4
    with pytest.raises(DataError) as error:
        Category(1, name)
    assert str(error.value) == "category 1: its name is 4; give a text."
