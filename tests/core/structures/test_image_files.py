"""Reading image files: every kind becomes RGB, upright."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.structures.image_files import find_images, image_size, read_image
from support.models.image_cases import RGB, png, saved


def planes(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_rgb_files_are_read_as_they_are(tmp_path, suffix):
    image = read_image(saved(tmp_path / f"a.{suffix}", RGB))
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    assert torch.equal(image, planes(RGB))


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"lossless": True})])
def test_jpeg_and_webp_are_read(tmp_path, suffix, options):
    flat = np.full((9, 8, 3), (200, 100, 50), np.uint8)
    image = read_image(saved(tmp_path / f"a.{suffix}", flat, **options))
    assert (image.float() - planes(flat).float()).abs().max() <= 4


def test_grey_becomes_three_equal_planes(tmp_path):
    image = read_image(saved(tmp_path / "a.png", RGB[..., 0]))
    assert torch.equal(image, torch.from_numpy(RGB[..., 0]).expand(3, 5, 7))


def test_black_and_white_becomes_0_and_255(tmp_path):
    image = read_image(saved(tmp_path / "a.png", RGB[..., 0] > 100))
    assert torch.equal(image[1] == 255, torch.from_numpy(RGB[..., 0] > 100))
    assert set(image.unique().tolist()) == {0, 255}


def test_palette_colours_are_looked_up(tmp_path):
    few = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    image = Image.fromarray(few, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    found = read_image(saved(tmp_path / "a.png", image))
    assert found[:, 0].T.tolist() == [[255, 0, 0], [0, 255, 0], [10, 20, 30]]


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_transparent_palette_colour_lies_over_white(tmp_path, suffix):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    found = read_image(saved(tmp_path / f"a.{suffix}", image, transparency=0))
    assert found[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]


def test_partly_transparent_palettes_are_read_without_a_warning(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([0, 0, 0, 0, 0, 255])
    found = read_image(saved(tmp_path / "a.png", image, transparency=bytes([128, 255])))
    assert found[:, 0].T.tolist() == [[127, 127, 127], [0, 0, 255]]


def test_rgba_lies_over_white(tmp_path):
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]], np.uint8)
    found = read_image(saved(tmp_path / "a.png", pixels))
    assert found[:, 0].T.tolist() == [[255, 255, 255], [10, 20, 30], [204, 204, 204]]


def test_grey_with_alpha_lies_over_white(tmp_path):
    pixels = Image.fromarray(np.array([[[40, 0], [40, 255]]], np.uint8), "LA")
    assert read_image(saved(tmp_path / "a.png", pixels))[0].tolist() == [[255, 40]]


def test_grey_with_a_transparent_value_lies_over_white(tmp_path):
    found = read_image(saved(tmp_path / "a.png", np.array([[40, 41]], np.uint8), transparency=40))
    assert found[0].tolist() == [[255, 41]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_becomes_rgb(tmp_path, suffix):
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    found = read_image(saved(tmp_path / f"a.{suffix}", ink)).float().mean((1, 2))
    assert found.tolist() == pytest.approx([0, 255, 255], abs=4)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, suffix):
    values = np.array([[0, 128, 129, 255, 256, 32768, 65407, 65535]], np.uint16)
    found = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    assert found[0].tolist() == [[0, 0, 1, 1, 1, 128, 255, 255]]
    assert torch.equal(found[0], found[2])


def test_16_bit_grey_is_turned_upright_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    values = Image.fromarray(np.array([[0, 65535]], np.uint16))
    assert read_image(saved(tmp_path / "a.png", values, exif=exif))[0].tolist() == [[0], [255]]


def test_16_bit_rgb_keeps_its_upper_byte(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 65535, 32768, 300)))
    assert read_image(path)[:, 0, 0].tolist() == [255, 128, 1]


def test_an_image_of_one_pixel_is_read(tmp_path):
    assert read_image(saved(tmp_path / "a.png", RGB[:1, :1])).shape == (3, 1, 1)


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_image(path)[:, 0, 0].tolist() == [255, 0, 0]


# What a viewer shows for a stored image A, by EXIF orientation.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", RGB, exif=exif)
    expected = planes(UPRIGHT[orientation](RGB).copy())
    assert torch.equal(read_image(path), expected)


def test_image_size_is_that_of_the_header(tmp_path):
    assert image_size(saved(tmp_path / "a.png", RGB)) == (5, 7)


def test_an_unknown_orientation_changes_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 42
    assert torch.equal(read_image(saved(tmp_path / "a.png", RGB, exif=exif)), planes(RGB))


def test_find_images_lists_files_as_given_and_folders_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.png").touch()
    (tmp_path / "folder.png").mkdir()
    found = find_images([tmp_path / "notes.txt", str(tmp_path)])
    assert [path.name for path in found] == ["notes.txt", "a.JPG", "b.png", "c.webp"]
