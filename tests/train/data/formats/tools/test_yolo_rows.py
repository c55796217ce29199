"""Rows of YOLO's label files: what they mean in pixels, and what is said of those that are malformed."""

from pathlib import Path

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.faults import STOP, Noted
from mtvit_train.data.formats.tools.yolo_rows import RowForm, read_rows, to_entry

BOXES = RowForm(frozenset({0, 1}))
POSES = RowForm(frozenset({0}), points=2, dims=3)
FLAT_POSES = RowForm(frozenset({0}), points=2, dims=2)


def entry(tmp_path: Path, text: str, form: RowForm) -> dict[str, object]:
    path = tmp_path / "a.txt"
    path.write_text(text)
    (row,) = read_rows(path, form, STOP)
    return to_entry(row, form, height=50, width=100)


def test_a_box_is_given_by_its_centre(tmp_path: Path) -> None:
    assert entry(tmp_path, "1 0.5 0.4 0.2 0.4\n", BOXES) == {
        "category_id": 1, "bbox": pytest.approx([40, 10, 20, 20]),
    }  # fmt: skip


def test_an_outline_has_the_box_around_it(tmp_path: Path) -> None:
    found = entry(tmp_path, "0 0.1 0.2 0.3 0.2 0.3 0.6", BOXES)
    assert found["bbox"] == pytest.approx([10, 10, 20, 20])
    assert found["segmentation"] == [pytest.approx([10, 10, 30, 10, 30, 30])]


def test_keypoints_of_three_numbers_say_what_is_seen(tmp_path: Path) -> None:
    found = entry(tmp_path, "0 0.5 0.5 1 1 0.1 0.2 1 0.7 0.7 0", POSES)
    assert found["keypoints"] == pytest.approx([10, 10, 1, 0, 0, 0])


def test_keypoints_of_two_numbers_are_unlabelled_in_the_corner_and_below_0(tmp_path: Path) -> None:
    assert entry(tmp_path, "0 0.5 0.5 1 1 0.1 0.2 0 0", FLAT_POSES)["keypoints"] == [10, 10, 2, 0, 0, 0]
    assert entry(tmp_path, "0 0.5 0.5 1 1 -1 -1 0 0.2", FLAT_POSES)["keypoints"] == [0, 0, 0, 0, 10, 2]


def test_a_row_without_keypoints_is_a_box_among_poses(tmp_path: Path) -> None:
    assert "keypoints" not in entry(tmp_path, "0 0.5 0.5 1 1", POSES)


def test_boxes_and_outlines_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.2 0.2\n\n1 0.1 0.1 0.2 0.1 0.2 0.3 0.1 0.3\n")
    assert [(row.line, len(row.numbers)) for row in read_rows(path, BOXES, STOP)] == [(1, 4), (3, 8)]


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("0 0.5 0.5 x 1", BOXES, ":1: '0 0.5 0.5 x 1' are not all numbers"),
        ("2 0.5 0.5 1 1", BOXES, ":1: class 2 is none of the 2 that are named"),
        ("0.5 0.5 0.5 1 1", BOXES, ":1: class 0.5 is none of the 2"),
        ("0 240 0.5 1 1", BOXES, ":1: 240 is no share of the image; numbers run from 0 to 1. Divide pixels"),
        ("0 nan 0.5 1 1", BOXES, ":1: nan is no share of the image"),
        ("0 0.5 0.5 1 1 0.9", BOXES, ":1: 5 numbers follow the class; a box has 4. Leave out the score."),
        ("0 0.5 0.5 1 1 0 0 0", BOXES, ":1: 7 numbers follow the class; a box has 4, an outline at least 6"),
        (
            "0 0.5 0.5 1 1 0.2 0.2 2",
            POSES,
            ":1: 7 numbers follow the class; a box has 4, with 2 keypoints 10",
        ),
        ("0 0.5", BOXES, ":1: 1 numbers follow the class"),
    ],
)
def test_a_malformed_row_is_one_line_with_its_place(
    text: str, form: RowForm, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_rows(path, form, STOP)
    assert str(caught.value).startswith(f"{path}{said}")
    assert "\n" not in str(caught.value)


def test_the_row_is_left_out_and_not_the_image(tmp_path: Path) -> None:
    path, noted = tmp_path / "a.txt", Noted()
    path.write_text("0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n")
    assert [row.line for row in read_rows(path, BOXES, noted)] == [1, 3]
    assert len(noted.found) == 1
