"""Names of keypoints: the same in other spellings."""

import pytest

from mtvit_core.sides import same_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("left_eye", "L_Eye"),
        ("left_eye", "Left Eye"),
        ("right_shoulder", "shoulder-r"),
        ("nose", "Nose"),
        ("L_F_Paw", "left f paw"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert same_name(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("left_eye", "right_eye"), ("nose", "nose tip"), ("", ""), ("a", "b")]
)
def test_others(one: str, other: str) -> None:
    assert not same_name(one, other)
