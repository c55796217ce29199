"""How good a candidate is for all tasks."""

import pytest

from mtvit_core.errors import ConfigError
from mtvit_train.config.search import SearchTable
from mtvit_train.search.evolution.fitness import Fitness

LARGEST = {"det/AP": 0.4, "det/AP50": 0.8, "map/mIoU": 0.5, "pose/AP": None, "link/score": 0.9}
DEPTH = {"depth/RMSE": 2.0, "depth/delta1": 0.5}


def test_the_largest_has_one_for_every_task() -> None:
    fitness = Fitness.of(SearchTable(), LARGEST)
    assert fitness.ratios(LARGEST) == {"det": 1.0, "map": 1.0}
    assert fitness.notes == (
        "pose: nothing is labelled, so it does not count.",
        "Single-task values are those of the largest candidate: det AP 0.400, map mIoU 0.500.",
    )


def test_single_task_values_are_those_of_the_settings() -> None:
    fitness = Fitness.of(SearchTable(singles={"det": 0.8, "map": 0.25}), LARGEST)
    assert fitness.ratios(LARGEST) == {"det": 0.5, "map": 2.0}
    assert fitness.notes[1:] == ()


def test_another_metric_counts_and_less_may_be_better() -> None:
    table = SearchTable(metrics={"depth": "-RMSE", "det": "AP50"})
    fitness = Fitness.of(table, LARGEST | DEPTH)
    assert fitness.ratios({"depth/RMSE": 1.0, "det/AP50": 0.4, "map/mIoU": 0.5}) == {
        "det": 0.5,
        "map": 1.0,
        "depth": 2.0,
    }


def test_nothing_found_is_worth_nothing() -> None:
    table = SearchTable(metrics={"depth": "-RMSE"})
    fitness = Fitness.of(table, LARGEST | DEPTH)
    assert fitness.ratios({"det/AP": float("nan"), "depth/RMSE": None}) == {"det": 0, "map": 0, "depth": 0}


@pytest.mark.parametrize(
    ("settings", "largest", "message"),
    [
        ({}, DEPTH, r"task 'depth' tells no main metric; name one of RMSE, delta1 in search.metrics.depth"),
        ({"metrics": {"depth": "rmse"}}, DEPTH, r"search.metrics.depth is 'rmse'; name one of RMSE, delta1"),
        ({"metrics": {"dept": "RMSE"}}, DEPTH, r"no task 'dept' with metrics. Did you mean 'depth'\?"),
        ({"singles": {"seg": 1.0}}, LARGEST, r"no task 'seg' .* Tasks of the supernet: det, map, pose"),
        ({}, {"det/AP": 0.0}, r"det/AP of the largest candidate is 0.0, .* or give search.singles.det"),
        ({}, {"det/AP": None}, r"no task has labels in the images"),
    ],
)
def test_what_gives_no_fitness_is_refused(
    settings: dict[str, dict[str, str | float]], largest: dict[str, float | None], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Fitness.of(SearchTable.model_validate(settings), largest)


def test_a_task_that_finds_nothing_is_compared_with_a_given_value() -> None:
    fitness = Fitness.of(SearchTable(singles={"det": 0.4}), {"det/AP": 0.0})
    assert fitness.ratios({"det/AP": 0.1}) == {"det": 0.25}
