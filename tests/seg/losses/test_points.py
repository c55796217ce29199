"""Points: the same draw and the same values as transformers."""

import pytest
import torch
from transformers import EomtConfig
from transformers.models.eomt.modeling_eomt import EomtLoss, sample_point

from mtvit_seg.losses.points import Sampling, at_points, uncertain_points


@pytest.mark.parametrize(
    ("points", "oversample", "importance"), [(100, 3.0, 0.75), (7, 2.5, 0.5), (8, 1.0, 1.0)]
)
def test_uncertain_points_are_those_of_transformers(
    points: int, oversample: float, importance: float
) -> None:
    reference = EomtLoss(EomtConfig(num_labels=3), {})
    logits = torch.randn(5, 16, 24)
    torch.manual_seed(1)
    expected = reference.sample_points_using_uncertainty(
        logits[:, None], reference.calculate_uncertainty, points, oversample, importance
    )
    torch.manual_seed(1)
    found = uncertain_points(
        logits, Sampling(points, oversample, importance), lambda count: torch.rand(5, count, 2)
    )
    assert found.shape == (5, points, 2)
    torch.testing.assert_close(found, expected)


def test_values_at_points_are_bilinear_with_zeros_outside() -> None:
    maps = torch.randn(2, 3, 16, 24)
    points = torch.rand(2, 1, 50, 2)
    expected = sample_point(maps, points[:, 0], align_corners=False)
    torch.testing.assert_close(at_points(maps, points)[:, :, 0], expected)
    centre = torch.tensor([(5 + 0.5) / 24, (3 + 0.5) / 16]).expand(2, 1, 1, 2)
    torch.testing.assert_close(at_points(maps, centre)[..., 0, 0], maps[:, :, 3, 5], atol=1e-5, rtol=1e-5)
    corner = torch.zeros(2, 1, 1, 2)
    torch.testing.assert_close(at_points(maps, corner)[..., 0, 0], maps[:, :, 0, 0] / 4)


def test_kept_points_are_the_least_certain_of_those_drawn() -> None:
    logits = torch.randn(1, 16, 24)
    torch.manual_seed(2)
    drawn = torch.rand(1, 300, 2)
    torch.manual_seed(2)
    kept = uncertain_points(logits, Sampling(100, 3.0, 0.75), lambda count: torch.rand(1, count, 2))[:, :75]
    limit = at_points(logits[:, None], kept[:, None]).abs().max()
    certainty = at_points(logits[:, None], drawn[:, None]).abs()
    assert int((certainty <= limit).sum()) == 75
