"""Numbers about features, on features whose worth is known."""

import pytest
import torch

from mtvit_train.probing.pictures import component_pictures
from mtvit_train.probing.scores import (
    Spread,
    average_precision,
    collapse,
    effective_rank,
    linear,
    mean_cosine,
    mean_precision,
    nearest,
)


def test_probes_read_what_is_there() -> None:
    y = torch.rand(200, 3) < 0.4
    x = torch.cat([y.float() @ torch.randn(3, 8), 0.1 * torch.randn(200, 4)], 1)
    noise = torch.randn(200, 12)
    for read in (linear, lambda x, y, asked: nearest(x, y, asked, 5)):
        assert mean_precision(read(x[:150], y[:150], x[150:]), y[150:]) > 0.95
        assert mean_precision(read(noise[:150], y[:150], noise[150:]), y[150:]) < 0.7


def test_average_precision_is_the_mean_precision_at_true_ones() -> None:
    truth = torch.tensor([True, False, True, False])
    assert average_precision(torch.tensor([0.9, 0.8, 0.7, 0.1]), truth) == pytest.approx((1 + 2 / 3) / 2)


def test_collapse_is_told() -> None:
    spread, flat = torch.randn(64, 16), torch.ones(64, 16) + 1e-3 * torch.randn(64, 16)
    assert effective_rank(spread) > 14
    assert effective_rank(flat) < 2
    good, bad = (Spread(effective_rank(x), mean_cosine(x)) for x in (spread, flat))
    assert collapse(good, good, 16) == ""
    told = collapse(bad, good, 16)
    assert told.startswith("features are collapsing: the mean cosine between images is 1.000 (0.0")
    assert collapse(bad, bad, 16)  # no better than at the start
    assert collapse(Spread(9.0, 0.99), Spread(5.0, 0.999), 16) == ""  # on the way out


def test_components_have_a_fixed_sign() -> None:
    patches = torch.randn(2, 6, 8, 8)
    patches[:, 0, 2:6, 2:6] += 9
    one, other = (component_pictures(part, (8, 8))[0] for part in (patches, -patches))
    assert one.getpixel((4, 4))[0] > 128 > one.getpixel((0, 0))[0]  # type: ignore[index]  # RGB
    assert one.getpixel((4, 4)) != other.getpixel((0, 0))
