"""When a run ends early, and which weights it keeps."""

import math
from typing import Any

import pytest

from mtvit_train.runs.early_stopping import EarlyStopping, score


def test_a_score_is_the_mean_of_what_each_task_is_known_by() -> None:
    found = {"det/AP50": 0.9, "det/AP": 0.4, "pose/AP": 0.2, "map/mIoU": 0.6, "map/accuracy": 1.0}
    assert score(found) == pytest.approx((0.4 + 0.2 + 0.6) / 3)


@pytest.mark.parametrize("found", [{}, {"det/AP": None}, {"det/AP": math.nan}, {"depth/abs": 3.0}])
def test_without_a_metric_there_is_no_score(found: dict[str, Any]) -> None:
    assert math.isnan(score(found))


def follow(patience: int, *values: float) -> tuple[list[bool], list[bool]]:
    stopping, kept, ended = EarlyStopping(patience), [], []
    for value in values:
        kept.append(stopping.follow({"det/AP": value}))
        ended.append(stopping.ended)
    return kept, ended


def test_it_ends_after_so_many_evaluations_without_a_better_one() -> None:
    kept, ended = follow(2, 0.1, 0.3, 0.3, 0.4, 0.2, 0.39)
    assert kept == [True, True, False, True, False, False]
    assert ended == [False, False, False, False, False, True]


def test_without_patience_the_last_weights_are_kept() -> None:
    assert follow(0, 0.3, 0.1, 0.1) == ([True] * 3, [False] * 3)


def test_a_resumed_run_remembers() -> None:
    before = [{"step": 4, "det/AP": 0.3}, {"step": 8, "det/AP": None}, {"step": 12, "det/AP": 0.2}]
    stopping = EarlyStopping(2, before)
    assert (stopping.best, stopping.since) == (0.3, 1)
    assert not stopping.follow({"det/AP": 0.3})
    assert stopping.ended
