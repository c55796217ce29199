"""Names that are almost those of missed files are named, with what differs."""

import unicodedata
from pathlib import Path

import pytest

from mtvit_train.data.near_names import near_name, near_path


@pytest.mark.parametrize(
    ("missed", "there", "said"),
    [
        ("A.png", "a.png", "differs in upper and lower case only"),
        ("more\\B.png", "more/b.png", "differs in upper and lower case only"),
        (unicodedata.normalize("NFD", "ä.png"), "ä.png", "is the same letters in another Unicode form"),
        ("a%20b.png", "a b.png", "is written without percent signs"),
        ("A%20b.png", "a b.png", "is written otherwise"),
        ("train2017/a.png", "a.png", "lies in another folder"),
        ("a.png", "more/A.png", "lies in another folder and differs in case"),
        ("a.jpg", "a.png", "has another ending"),
    ],
)
def test_what_differs_is_said(missed: str, there: str, said: str) -> None:
    assert near_name(missed, ["x.png", there], "correct it") == f" {there!r} {said}: correct it."


def test_of_a_path_the_first_part_that_is_missed_counts(tmp_path: Path) -> None:
    (tmp_path / "Annotations" / "deep").mkdir(parents=True)
    assert near_path(tmp_path / "annotations" / "deep" / "x.json") == (
        " 'Annotations' differs in upper and lower case only: correct the name, or rename it."
    )
    assert near_path(tmp_path / "other" / "x.json") == ""
