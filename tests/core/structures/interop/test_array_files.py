"""Images in numpy's files: bytes, or floats from 0 to 1."""

from pathlib import Path

import numpy as np
import pytest

from mtvit_core.errors import DataError
from mtvit_core.structures.image_files import image_size, read_image


def saved(path: Path, values: object) -> Path:
    """Write an array."""
    np.save(path, np.asarray(values))
    return path


def test_bytes_stay_and_floats_are_scaled(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    whole = saved(tmp_path / "whole.npy", pixels)
    share = saved(tmp_path / "share.npy", pixels.astype(np.float64) / 255)
    assert image_size(whole) == (2, 4)
    for path in (whole, share):
        np.testing.assert_array_equal(read_image(path).permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 4)), "the array has shape (2, 4); an image is rows x columns x 3."),
        (
            np.full((1, 1, 3), 7.0),
            "its floats run from 7 to 7; write an image as uint8 from 0 to 255, or as floats from 0 to 1.",
        ),
        (
            np.zeros((1, 1, 3), np.int64),
            "the array holds int64; an image holds uint8, or floats from 0 to 1.",
        ),
        (
            np.zeros((9, 9, 3), np.uint8),
            "the image has 9 x 9 pixels, over the cap of 80; shrink it or raise the cap.",
        ),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, values: np.ndarray, message: str) -> None:
    path = saved(tmp_path / "a.npy", values)
    with pytest.raises(DataError) as caught:
        read_image(path, max_pixels=80)
    assert str(caught.value) == f"{path}: {message}"


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"torn")
    with pytest.raises(DataError, match=r"a\.npy: not a readable array \(.*\); write it by numpy\.save\."):
        read_image(path)
