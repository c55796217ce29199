"""Gates as text, as tables, and what they say of passes."""

import pytest

from mtvit_core.backbones.branched.gates import Gates
from mtvit_core.errors import ConfigError

TASKS = ("det", "seg", "pose")


def test_text_is_read_back() -> None:
    text = "det: 3.qkv 4.all; pose: 5.fc1 5.fc2"
    gates = Gates.parse(text, TASKS, 6)
    assert str(gates) == text
    assert Gates.parse(str(gates), TASKS, 6) == gates
    assert gates.owned("det", 4) == {"qkv", "proj", "fc1", "fc2"}
    assert Gates.of(TASKS, 6, gates.table()) == gates == Gates.of(TASKS, 6, gates.table(2))


def test_the_two_ends() -> None:
    assert str(Gates.parse("shared", TASKS, 2)) == "shared"
    own = Gates.parse("own", TASKS, 3, first=1)
    assert str(own) == "det: 1.all 2.all; seg: 1.all 2.all; pose: 1.all 2.all"
    assert len(own.shared_by_none()) == 8


def test_who_owns_nothing_shares_a_pass() -> None:
    gates = Gates.parse("pose: 4.proj", TASKS, 6)
    assert gates.passes(TASKS) == (("det", "seg"), ("pose",))
    assert gates.passes(["pose"]) == (("pose",),)
    assert gates.passes(["depth", "det"]) == (("depth", "det"),)
    assert gates.passes([]) == ((),)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("shared", 6),
        ("pose: 4.proj", 8),
        ("seg: 0.qkv; pose: 4.proj", 14),
        ("det: 3.fc1; seg: 2.fc1; pose: 4.proj", 13),
        ("own", 18),
    ],
)
def test_blocks_that_are_run_on_the_image(text: str, blocks: int) -> None:
    assert Gates.parse(text, TASKS, 6).blocks_run(TASKS) == blocks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dett: 1.qkv", "none of the tasks det, seg, pose"),
        ("det 1.qkv", "none of the tasks"),
        ("det: 1.kqv", "is no layer; write the block, a point and one of qkv, proj, fc1, fc2 or all"),
        ("det: 6.qkv", "of blocks 1 to 5"),
        ("det: 0.qkv", "of blocks 1 to 5"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Gates.parse(text, TASKS, 6, first=1)
