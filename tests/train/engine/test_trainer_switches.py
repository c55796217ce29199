"""Switches of memory and time, alone and together: each does what it says, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import Forked
from workers import switch_worker


def trained(folder: Path, backend: str, *names: str) -> dict[str, Any]:
    """What trainings with some switches give."""
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    done = Forked([switch_worker.__file__, str(folder), backend, *names]).ended()
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All trainings; graphs are traced but run as they are, which spares the minutes of a compiler."""
    quick = [case for case in switch_worker.CASES if case != "compile"]  # the slow test's
    return trained(tmp_path_factory.mktemp("switches") / "scenes", "aot_eager", *quick)


@pytest.mark.parametrize(
    ("case", "same_as"),
    [
        ("checkpointing", "plain"),
        ("compile, checkpointing, two passes", "plain"),
        ("no average", "plain"),
        ("layer decay, together", "layer decay"),
        ("frozen, together", "frozen"),
    ],
)
def test_memory_and_time_change_no_loss(found: dict[str, Any], case: str, same_as: str) -> None:
    assert found[case]["losses"] == pytest.approx(found[same_as]["losses"], rel=1e-5)


def test_bfloat16_is_near_and_goes_together_with_all_others(found: dict[str, Any]) -> None:
    full = found["layer decay"]["losses"]
    for case in ("bf16", "bf16, together"):
        assert found[case]["losses"] == pytest.approx(full, rel=0.1)
        assert found[case]["losses"] != full


def test_layer_decay_and_frozen_backbones_move_less(found: dict[str, Any]) -> None:
    assert found["plain"]["moved"] > 0
    assert found["layer decay"]["losses"][1:] != found["plain"]["losses"][1:]
    assert found["frozen"]["moved"] == found["frozen, together"]["moved"] == 0
    assert found["frozen"]["losses"][0] == pytest.approx(found["plain"]["losses"][0])


def test_the_average_follows(found: dict[str, Any]) -> None:
    assert found["no average"]["behind"] == 0
    assert found["plain"]["behind"] > 0
    assert found["bf16, together"]["behind"] > 0


@pytest.mark.slow
def test_what_a_compiler_makes_gives_the_same_losses(tmp_path: Path) -> None:
    made = trained(tmp_path / "scenes", "inductor", "plain", "compile")
    assert made["compile"]["losses"] == pytest.approx(made["plain"]["losses"], rel=1e-4)
