"""Options of prediction are checked when they are made."""

import math
from typing import Any

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.inference.options import PredictOptions


@pytest.mark.parametrize("name", ["min_score", "person_score", "min_link"])
@pytest.mark.parametrize("value", [-0.1, 1.5, 50, math.nan, math.inf])
def test_scores_lie_between_0_and_1(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        PredictOptions(**{name: value})
    assert str(error.value) == f"predict: {name} is {value!r}; give a number from 0 to 1."


@pytest.mark.parametrize("value", [0, -1, True])
def test_a_pass_takes_whole_images(value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        PredictOptions(batch_size=value)
    assert str(error.value) == f"predict: batch_size is {value!r}; give a whole number from 1 up."


def test_bounds_are_allowed() -> None:
    PredictOptions(min_score=0, person_score=1, min_link=1.0, batch_size=1)
