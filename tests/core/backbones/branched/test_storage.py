"""Parameters that gates store."""

import pytest
import torch

from mtvit_core.backbones.branched.gates import Gates
from mtvit_core.backbones.branched.storage import count, random_gates, stored, within
from mtvit_core.errors import ConfigError

SIZES = torch.tensor([[30, 10, 40, 40], [30, 10, 40, 40]])
TASKS = ("a", "b", "c")


@pytest.mark.parametrize("text", ["shared", "own", "a: 1.qkv; b: 0.fc1 1.qkv; c: 1.qkv", "a: 0.all"])
def test_gates_of_0_and_1_are_counted_exactly(text: str) -> None:
    gates = Gates.parse(text, TASKS, 2)
    assert float(stored(torch.tensor(gates.table()), SIZES, 7)) == count(gates, SIZES, 7)


def test_a_copy_counts_beside_the_shared_one_until_nobody_shares() -> None:
    plain = count(Gates.parse("shared", TASKS, 2), SIZES, 7)
    assert plain == 7 + 240
    assert count(Gates.parse("a: 0.qkv", TASKS, 2), SIZES, 7) == plain + 30
    assert count(Gates.parse("a: 0.qkv; b: 0.qkv; c: 0.qkv", TASKS, 2), SIZES, 7) == plain + 2 * 30
    assert count(Gates.parse("own", TASKS, 2), SIZES, 7) == 7 + 3 * 240


def test_what_does_not_fit_stays_shared() -> None:
    order = [("a", 0, "fc1"), ("b", 0, "fc1"), ("c", 1, "proj")]
    gates = within(order, 247 + 50, SIZES, 7, Gates(TASKS, 2))
    assert str(gates) == "a: 0.fc1; c: 1.proj"


@pytest.mark.parametrize("text", ["random:0.9:0", "random:1.5", "random:many:0"])
def test_a_draw_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write random:BUDGET:SEED, as 'random:1.5:0'"):
        random_gates(text, Gates(TASKS, 2), SIZES, 7, 0)
