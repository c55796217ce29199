import numpy as np
import pytest
import torch
from scipy import ndimage

from mtvit_pose.topdown.heatmap import decode_heatmaps, heatmap_stride, heatmap_targets, joints_mse

SHAPE = (64, 48)


def random_points(count: int, margin: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    span = torch.tensor([SHAPE[1] - 1 - 2 * margin, SHAPE[0] - 1 - 2 * margin])
    return margin + torch.rand(count, 17, 2, generator=generator) * span


def test_stride_counts_pixel_centres():
    assert heatmap_stride(SHAPE, (256, 192)).tolist() == pytest.approx([191 / 47, 255 / 63])


def test_target_is_a_clipped_gaussian_at_the_unrounded_keypoint():
    mu = torch.tensor([[[10.3, 20.8], [47.0, 0.4]]])

    maps, on_map = heatmap_targets(mu, SHAPE)

    assert on_map.all()
    for (x, y), plane in zip(mu[0].tolist(), maps[0], strict=True):
        row, column = int(y + 0.5), int(x + 0.5)
        for v in range(64):
            for u in range(48):
                inside = abs(u - column) <= 6 and abs(v - row) <= 6
                expected = np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8) if inside else 0.0
                assert plane[v, u].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "on_map"),
    [(-7.0, 5.0, True), (-8.6, 5.0, False), (53.0, 5.0, True), (53.6, 5.0, False), (5.0, 70.0, False)],
)
def test_patches_off_the_map_do_not_count(x: float, y: float, on_map: bool):
    assert heatmap_targets(torch.tensor([[[x, y]]]), SHAPE)[1].item() is on_map


def test_decoding_a_target_gives_back_the_keypoint():
    mu = random_points(40, margin=6)

    points, scores = decode_heatmaps(heatmap_targets(mu, SHAPE)[0])

    assert (points - mu).abs().max() < 0.05
    assert ((scores > 0.9) & (scores <= 1)).all()


def test_mirrored_blur_costs_at_most_one_and_a_half_pixels_at_the_border():
    mu = random_points(40, margin=0)

    points, _ = decode_heatmaps(heatmap_targets(mu, SHAPE)[0])

    assert (points - mu).abs().max() < 1.5


def test_a_map_without_positive_values_is_nowhere():
    points, scores = decode_heatmaps(-torch.rand(1, 2, *SHAPE))

    assert (points == -1).all()
    assert (scores <= 0).all()


def test_a_flat_map_stays_at_its_first_pixel():
    points, _ = decode_heatmaps(torch.full((1, 1, *SHAPE), 0.5))

    assert points.flatten().tolist() == [0, 0]


def test_dark_step_equals_a_derivation_by_hand():
    noise = 0.05 * torch.rand(2, 17, *SHAPE, generator=torch.Generator().manual_seed(1))
    maps = heatmap_targets(random_points(2, margin=0), SHAPE)[0] + noise

    points, scores = decode_heatmaps(maps)

    kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 2.0**2))
    kernel /= kernel.sum()
    for i in range(2):
        for k in range(17):
            plane = maps[i, k].double().numpy()
            row, column = np.unravel_index(plane.argmax(), SHAPE)
            blurred = ndimage.correlate1d(
                ndimage.correlate1d(plane, kernel, 0, mode="mirror"), kernel, 1, mode="mirror"
            )
            f = np.pad(np.log(blurred.clip(0.001, 50)), 1, mode="edge")
            r, c = row + 1, column + 1
            gradient = [(f[r, c + 1] - f[r, c - 1]) / 2, (f[r + 1, c] - f[r - 1, c]) / 2]
            dxx = f[r, c + 1] - 2 * f[r, c] + f[r, c - 1]
            dyy = f[r + 1, c] - 2 * f[r, c] + f[r - 1, c]
            corners = f[r + 1, c + 1] + f[r - 1, c - 1] + 2 * f[r, c]
            dxy = 0.5 * (corners - f[r, c + 1] - f[r + 1, c] - f[r, c - 1] - f[r - 1, c])
            hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.eye(2) * np.finfo(np.float32).eps
            expected = np.array([column, row]) - np.linalg.solve(hessian, gradient)
            np.testing.assert_allclose(points[i, k].numpy(), expected, atol=1e-4)
            assert scores[i, k] == maps[i, k].max()


def test_loss_keeps_masked_keypoints_in_the_mean():
    truth = torch.zeros(2, 4, 3, 5)
    weights = torch.ones(2, 4)
    weights[:, 1:] = 0

    assert joints_mse(torch.ones_like(truth), truth, weights).item() == pytest.approx(1 / 4)
