"""Limits that no request could keep."""

import math

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.serving.limits import Limits


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"megabytes": 0.0}, "serve: limit megabytes is 0.0; give a number above 0."),
        ({"seconds": math.nan}, "serve: limit seconds is nan; give a number above 0."),
        ({"waiting": -1}, "serve: limit waiting is -1; give a number above -1."),
        ({"connections": 0}, "serve: limit connections is 0; give a number above 0."),
    ],
)
def test_refusals(limit, told):
    with pytest.raises(ConfigError) as caught:
        Limits(**limit)
    assert str(caught.value) == told


def test_units():
    limits = Limits(megabytes=0.5, megapixels=1.5, waiting=0)
    assert (limits.bytes, limits.pixels) == (524_288, 1_500_000)
