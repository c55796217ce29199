import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from mtvit_core.errors import ShapeError
from mtvit_core.structures.canvases.crops import Roi, crop_person, person_meta, person_roi

CANVAS = (256, 192)


def udp_matrix(roi: Roi, canvas: tuple[int, int]) -> np.ndarray:
    """UDP's matrix from original to crop, as its authors write it: input size 2c, destination size - 1."""
    sx, sy = (canvas[1] - 1) / roi.width, (canvas[0] - 1) / roi.height
    cos, sin = math.cos(roi.angle), math.sin(roi.angle)
    return np.array(
        [
            [cos * sx, -sin * sx, sx * (-roi.x * cos + roi.y * sin + roi.width / 2)],
            [sin * sy, cos * sy, sy * (-roi.x * sin - roi.y * cos + roi.height / 2)],
            [0, 0, 1],
        ]
    )


def test_scale_of_a_roi_of_75_by_100_pixels():
    meta = person_meta((10.0, 20.0, 70.0, 100.0), 300, 200, CANVAS)

    a, b, c, d, e, f = meta.to_original
    assert 1 / a == pytest.approx(191 / 75)  # 2.547 crop pixels per pixel
    assert 1 / e == pytest.approx(255 / 100)  # 2.550
    assert (b, d) == (0, 0)
    assert (c, f) == (40 - 37.5, 60 - 50)
    assert meta.content == CANVAS
    assert meta.box == (10.0, 20.0, 70.0, 100.0)


@pytest.mark.parametrize("angle", [0.0, 0.7, -1.3])
def test_affine_is_the_inverse_of_udp(angle: float):
    roi = Roi(31.5, 47.25, 60.0, 80.0, angle)

    a, b, c, d, e, f = roi.to_original(CANVAS)

    ours = np.array([[a, b, c], [d, e, f], [0, 0, 1]])
    np.testing.assert_allclose(ours, np.linalg.inv(udp_matrix(roi, CANVAS)), atol=1e-10)


@pytest.mark.parametrize(
    ("box", "width", "height"),
    [((0, 0, 30, 10), 30, 40), ((0, 0, 10, 40), 30, 40), ((5, 5, 5, 5), 1, 4 / 3)],
)
def test_roi_grows_the_short_side_to_the_aspect(box: tuple, width: float, height: float):
    roi = person_roi(box, CANVAS)

    assert roi.width == pytest.approx(1.25 * width)
    assert roi.height == pytest.approx(1.25 * height)
    assert (roi.x, roi.y) == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


@pytest.mark.parametrize("box", [(10.0, 0.0, 5.0, 8.0), (0.0, 0.0, math.nan, 8.0)])
def test_reversed_box_is_refused(box: tuple[float, float, float, float]):
    with pytest.raises(ShapeError, match=r"person crop: the box \(.*\) is not x0 y0 x1 y1 with x0 <= x1"):
        person_meta(box, 100, 100, CANVAS)


def test_crop_equals_bilinear_sampling_with_zero_border():
    image = torch.randint(0, 256, (3, 40, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    roi = Roi(12.0, 31.0, 27.0, 36.0, 0.4)
    meta = person_meta((0.0, 0.0, 1.0, 1.0), 40, 30, (32, 24))
    meta = type(meta)(40, 30, (32, 24), roi.to_original((32, 24)))

    crop = crop_person(image, meta, (32, 24))

    v, u = np.mgrid[:32, :24]
    inverse = np.linalg.inv(udp_matrix(roi, (32, 24)))
    x, y, _ = np.tensordot(inverse, np.stack([u, v, np.ones_like(u)]), 1)
    for channel, plane in zip(crop, image, strict=True):
        expected = ndimage.map_coordinates(plane.double().numpy(), [y, x], order=1, mode="grid-constant")
        # float32 sampling may fall on the other side of a half.
        assert np.abs(channel.numpy() - expected).max() < 0.51


def test_crop_of_the_whole_image_at_its_own_size_is_the_image():
    image = torch.arange(3 * 8 * 6, dtype=torch.uint8).reshape(3, 8, 6)
    meta = person_meta((0.0, 0.0, 5.0, 7.0), 8, 6, (8, 6), padding=1.0)
    # The aspect of canvas - 1 differs from the canvas's, so the roi is set by hand.
    meta = type(meta)(8, 6, (8, 6), Roi(2.5, 3.5, 5.0, 7.0).to_original((8, 6)))

    assert torch.equal(crop_person(image, meta, (8, 6)), image)
