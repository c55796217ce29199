"""TokenPose's crops, targets and decoding, against the steps of its code written out."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from mtvit_core.structures.canvases.crops import person_meta, points_to_crop
from mtvit_pose.topdown.codec import TOKENPOSE, centred_grid
from mtvit_pose.topdown.dark import decode_dark, whole_map_targets

SHAPE, CANVAS = (64, 48), (256, 192)


def affine(box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """From the image to a plane of ``size`` columns and rows, by three points, one less than every side."""
    x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
    centre = np.array([x + (w - 1) / 2, y + (h - 1) / 2])
    aspect = 192 / 256
    if w > aspect * h:
        h = w / aspect
    else:
        w = h * aspect
    scale = np.array([w / 200, h / 200]) * 1.25
    source_width = scale[0] * 200
    columns, rows = size
    source, target = np.zeros((3, 2)), np.zeros((3, 2))
    source[0], target[0] = centre, [(columns - 1) / 2, (rows - 1) / 2]
    source[1] = np.subtract(centre, [0, (source_width - 1) / 2])
    target[1] = np.subtract(target[0], [0, (columns - 1) / 2])
    for points in (source, target):
        direction = points[0] - points[1]
        points[2] = points[1] + [-direction[1], direction[0]]
    return np.linalg.solve(np.hstack([source, np.ones((3, 1))]), target).T


BOXES = [(10.0, 20.0, 70.0, 100.0), (3.0, 5.0, 90.0, 40.0), (0.0, 0.0, 75.0, 100.0)]


@pytest.mark.parametrize("box", BOXES)
def test_crops_are_those_of_the_code(box: tuple[float, float, float, float]):
    points = np.random.default_rng(0).uniform(0, 100, (9, 2))
    meta = person_meta(box, 200, 150, CANVAS, rule="centred")

    found = points_to_crop(torch.from_numpy(points), meta)

    expected = points @ affine(box, (192, 256))[:, :2].T + affine(box, (192, 256))[:, 2]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_a_box_of_75_pixels_has_the_published_scale():
    meta = person_meta((0.0, 0.0, 75.0, 100.0), 200, 150, CANVAS, padding=1.0, rule="centred")

    assert 1 / meta.to_original[0] == pytest.approx(2.581, abs=5e-4)
    assert 1 / meta.to_original[4] == pytest.approx(2.581, abs=5e-4)


@pytest.mark.parametrize("box", BOXES)
def test_heatmap_pixels_lie_where_the_code_has_them(box: tuple[float, float, float, float]):
    points = np.random.default_rng(0).uniform(0, 100, (9, 2))
    meta = person_meta(box, 200, 150, CANVAS, rule="centred")

    found = centred_grid(SHAPE, CANVAS).to_map(points_to_crop(torch.from_numpy(points), meta))

    matrix = affine(box, (48, 64))
    np.testing.assert_allclose(found.numpy(), points @ matrix[:, :2].T + matrix[:, 2], atol=1e-5)
    back = meta.points_to_original(centred_grid(SHAPE, CANVAS).to_crop(found))
    np.testing.assert_allclose(back.numpy(), points, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "y", "on_map"),
    [(5.0, 5.0, True), (53.9, 5.0, True), (54.0, 5.0, False), (-7.9, 5.0, True), (-8.0, 5.0, False)],
)
def test_targets_cover_the_whole_map(x: float, y: float, on_map: bool):
    maps, counts = whole_map_targets(torch.tensor([[[x, y]]]), SHAPE)

    assert counts.item() is on_map
    for v in (0, 17, 63):
        for u in (0, 29, 47):
            expected = math.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
            assert maps[0, 0, v, u].item() == pytest.approx(expected, abs=1e-7)


def taylor(hm: np.ndarray, x: int, y: int) -> np.ndarray:
    """The refinement of DARK's code."""
    coordinate = np.array([x, y], dtype=float)
    if not (1 < x < hm.shape[1] - 2 and 1 < y < hm.shape[0] - 2):
        return coordinate
    dx, dy = 0.5 * (hm[y, x + 1] - hm[y, x - 1]), 0.5 * (hm[y + 1, x] - hm[y - 1, x])
    dxx = 0.25 * (hm[y, x + 2] - 2 * hm[y, x] + hm[y, x - 2])
    dxy = 0.25 * (hm[y + 1, x + 1] - hm[y - 1, x + 1] - hm[y + 1, x - 1] + hm[y - 1, x - 1])
    dyy = 0.25 * (hm[y + 2, x] - 2 * hm[y, x] + hm[y - 2, x])
    return coordinate - np.linalg.solve(np.array([[dxx, dxy], [dxy, dyy]]), [dx, dy])


def test_decoding_is_that_of_the_code():
    generator = torch.Generator().manual_seed(1)
    mu = torch.rand(3, 17, 2, generator=generator) * torch.tensor([47.0, 63.0])
    maps = whole_map_targets(mu, SHAPE)[0] + 0.05 * torch.rand(3, 17, *SHAPE, generator=generator)
    maps[0, 0] = -maps[0, 0]

    points, scores = decode_dark(maps)

    kernel = np.exp(-(np.arange(-5, 6) ** 2) / 8)
    kernel /= kernel.sum()
    for plane, point, score in zip(maps.flatten(0, 1), points.flatten(0, 1), scores.flatten(), strict=True):
        numbers = plane.double().numpy()
        y, x = np.unravel_index(numbers.argmax(), SHAPE)
        assert score == plane.max()
        if numbers.max() <= 0:
            assert point.tolist() == [0, 0]
            continue
        blurred = ndimage.correlate1d(
            ndimage.correlate1d(numbers, kernel, 0, mode="constant"), kernel, 1, mode="constant"
        )
        blurred *= numbers.max() / blurred.max()
        expected = taylor(np.log(np.maximum(blurred, 1e-10)), int(x), int(y))
        np.testing.assert_allclose(point.numpy(), expected, atol=1e-4)


def test_decoding_a_target_gives_back_the_keypoint():
    mu = 8 + torch.rand(20, 17, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([31.0, 47.0])

    points, _ = TOKENPOSE.decode(whole_map_targets(mu, SHAPE)[0])

    assert (points - mu).abs().max() < 0.05
