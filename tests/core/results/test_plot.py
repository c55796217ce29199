"""The picture of a result: of its own file, of an image that is given, or of neither."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.errors import ShapeError
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.instances import Instances

SIZE = (300, 400)


def result(file_name: str = "") -> ImageResult:
    """One cup."""
    return ImageResult(
        Instances(
            *SIZE, Categories((Category(1, "cup"),)), torch.tensor([0]), torch.tensor([0.75]),
            torch.tensor([[100.0, 100.0, 200.0, 200.0]]), ("det",), (None,), torch.zeros(1, 0, 3),
            file_name=file_name,
        )
    )  # fmt: skip


def corner(picture: Image.Image) -> tuple[int, ...]:
    """A pixel that no object covers."""
    return tuple(np.asarray(picture)[-1, -1].tolist())


def test_the_file_of_the_result_is_drawn_into(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.new("RGB", SIZE[::-1], (10, 20, 30)).save(path)
    picture = result(str(path)).plot()
    assert picture.size == (800, 600)  # small images are drawn twice as large
    assert corner(picture) == (10, 20, 30)
    assert (np.asarray(picture) != (10, 20, 30)).any()


def test_an_image_that_is_given_is_drawn_into() -> None:
    blue = np.full((*SIZE, 3), (0, 0, 200), np.uint8)
    for image in (blue, Image.fromarray(blue), torch.from_numpy(blue).permute(2, 0, 1)):
        assert corner(result("gone.png").plot(image)) == (0, 0, 200)


def test_without_an_image_the_page_is_blank() -> None:
    assert corner(result().plot()) == (255, 255, 255)


def test_notebooks_are_given_a_png() -> None:
    with Image.open(io.BytesIO(result()._repr_png_())) as picture:
        assert (picture.format, picture.size) == ("PNG", (800, 600))


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError) as error:
        result().plot(np.zeros((8, 9, 3), np.uint8))
    assert str(error.value) == (
        "plot: the image is 8 x 9 pixels, and the result is of one of 300 x 400; give the image that was "
        "predicted."
    )
