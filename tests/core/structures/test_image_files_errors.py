"""Image files that are missing, damaged, too large or none: one line of error each."""

import warnings

import numpy as np
import pytest
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.structures.image_files import find_images, image_size, read_image
from support.models.image_cases import RGB, RNG, png, saved


def error(path, **options):
    with pytest.raises(DataError) as caught:
        read_image(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), "{p}")


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_values_are_refused(tmp_path, mode):
    path = saved(tmp_path / "a.tif", Image.new(mode, (2, 2), 1000))
    assert error(path) == (
        f"{{p}}: pixels are 32-bit values (mode {mode}), whose range is unknown; save the image with 8 or 16 "
        f"bits a "
        "channel."
    )


def test_missing_file(tmp_path):
    assert error(tmp_path / "a.png") == "{p}: no such image file; check the path."


def test_folder_in_place_of_a_file(tmp_path):
    assert error(tmp_path) == "{p}: this is a folder, not an image file; name a file inside it."


def test_unreadable_file(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path / "a.png", RGB)
    monkeypatch.setattr(Image, "open", refuse)  # root may read everything, so permissions alone prove nothing
    assert error(path) == "{p}: the file may not be read; change its permissions."


def test_empty_file(tmp_path):
    (tmp_path / "a.png").touch()
    assert error(tmp_path / "a.png") == (
        "{p}: the file is empty; restore it from its source or leave it out."
    )


@pytest.mark.parametrize("content", [b"no image at all", b"\x89PNG", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"])
def test_other_files(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    assert error(tmp_path / "a.png") == (
        "{p}: not an image in a known format; allowed are JPEG, PNG, BMP, GIF, WebP, TIFF and PPM."
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "ppm", "webp"])
def test_truncated_images(tmp_path, suffix):
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "the image is damaged (" in error(path) or "not an image in a known format" in error(path)


def test_truncated_jpeg_in_words(tmp_path):
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.jpg", pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert error(path) == (
        "{p}: the image is damaged (image file is truncated (2 bytes not processed)); restore it from its "
        "source or leave it out."
    )


def test_damaged_bytes_give_an_image_or_a_data_error(tmp_path):
    pixels = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    outcomes = set()
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "ppm", "webp"):
        whole = saved(tmp_path / f"a.{suffix}", pixels).read_bytes()
        for trial in range(60):
            damaged = bytearray(whole)
            for place in RNG.integers(0, len(whole) if trial % 2 else min(60, len(whole)), 3):
                damaged[place] = RNG.integers(256)
            path = tmp_path / "b.bin"
            path.write_bytes(bytes(damaged))
            try:
                outcomes.add(read_image(path, max_pixels=10**6).shape[0])
            except DataError:
                outcomes.add("error")
    assert outcomes == {3, "error"}


def test_an_image_over_the_cap_is_refused_from_its_header(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(9000, 9943, 8, 2, b""))
    # There is no pixel in the file: a decoder would call it damaged.
    assert error(path) == (
        "{p}: the header claims 9000 x 9943 pixels, over the cap of 89478485; shrink the image or raise the "
        "cap."
    )
    with pytest.raises(DataError, match="over the cap of 89478485"):
        image_size(path)


def test_the_cap_can_be_set(tmp_path):
    path = saved(tmp_path / "a.png", RGB)
    assert error(path, max_pixels=34) == (
        "{p}: the header claims 7 x 5 pixels, over the cap of 34; shrink the image or raise the cap."
    )
    assert read_image(path, max_pixels=35).shape == (3, 5, 7)


def test_pillow_s_own_cap_is_one_line_too(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(60_000, 60_000, 8, 2, b""))
    assert error(path) == (
        "{p}: the header claims more than 178956970 pixels, over the cap of 89478485; shrink the image."
    )


def test_a_raised_cap_gives_no_warning(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(9000, 9943, 8, 2, b""))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_size(path, max_pixels=10**8) == (9943, 9000)


def test_find_images_refuses_a_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        find_images([tmp_path])
    assert str(caught.value) == (
        f"{tmp_path}: the folder holds no image; give a folder with files ending in "
        ".bmp .gif .jpeg .jpg .png .ppm .pgm .tif .tiff .webp."
    )


def test_find_images_refuses_a_path_that_is_not_there(tmp_path):
    with pytest.raises(DataError) as caught:
        find_images([tmp_path / "x"])
    assert str(caught.value) == f"{tmp_path / 'x'}: no such file or folder; check the path."
