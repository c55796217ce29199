"""Shares of old cells in new ones against torch's own resizing."""

import pytest
import torch
from torch.nn import functional as F

from mtvit_core.backbones.plain.positions import shares


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("sizes", [(12, 10), (10, 12), (14, 5), (5, 14), (7, 7), (3, 1), (1, 4), (40, 24)])
def test_shares_are_those_of_torch(sizes: tuple[int, int], antialias: bool) -> None:
    old, new = sizes
    x = torch.randn(1, 2, old, 9, dtype=torch.float64)
    expected = F.interpolate(x, (new, 6), mode="bicubic", align_corners=False, antialias=antialias)
    down, across = (torch.tensor(shares(*s, antialias), dtype=x.dtype) for s in (sizes, (9, 6)))
    torch.testing.assert_close(down @ x @ across.mT, expected, rtol=0, atol=1e-12)
