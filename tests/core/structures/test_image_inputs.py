"""Images and boxes in every form that people have give the same results; the rest is one line."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mtvit_core.errors import DataError, MtvitError, ShapeError
from mtvit_core.inference.options import PredictOptions
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.image_inputs import ALLOWED, check_canvases, image_items, read_boxes, read_input
from support.models.spot_task import SpotConfig, spot_class


def make(view: str = "image") -> MultiTaskViT:
    """Return a model of two blocks."""
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options={"depth": 2})
    task = spot_class("spot")(SpotConfig(view=view), COCO_CATEGORIES)
    return MultiTaskViT(backbone, [task], COCO_CATEGORIES, person_canvas=(64, 48)).eval()


def pixels() -> np.ndarray:
    """An image whose red, green and blue differ, H x W x 3."""
    ramp = np.linspace(0, 255, 33 * 47).reshape(33, 47)
    return np.stack([ramp, ramp / 2, 255 - ramp], -1).astype(np.uint8)


def as_tensor(array: np.ndarray) -> Tensor:
    """The same, 3 x H x W."""
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def png() -> bytes:
    """The same as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, "PNG")
    return file.getvalue()


def forms(folder: Path) -> dict[str, Any]:
    """One image in every form."""
    path = folder / "one.png"
    path.write_bytes(png())
    array = pixels()
    return {
        "path": path,
        "text": str(path),
        "folder": folder,
        "PIL": Image.fromarray(array),
        "opened by PIL": Image.open(path),
        "array": array,
        "array of another order in memory": np.asfortranarray(array),
        "batch of arrays": array[None],
        "tensor": as_tensor(array),
        "batch of tensors": as_tensor(array)[None],
        "bytes": png(),
        "bytearray": bytearray(png()),
        "open file": path.open("rb"),
        "stream": io.BytesIO(png()),
        "tuple": (array,),
        "iterator": iter([path]),
    }


def test_every_form_of_an_image_gives_the_same(tmp_path: Path) -> None:
    model = make()
    (wanted,) = model.predict([as_tensor(pixels())])
    for name, given in forms(tmp_path).items():
        (found,) = model.predict(given)
        assert torch.equal(found.scores, wanted.scores), name
        assert (found.height, found.width) == (33, 47), name
        if isinstance(given, io.IOBase | Image.Image):
            given.close()


def test_pixels_are_read_as_they_are() -> None:
    for given in (png(), Image.fromarray(pixels()), pixels()):
        assert torch.equal(read_input(given)[0], as_tensor(pixels()))


def test_arrays_of_opencv_are_turned_round_and_nothing_else_is() -> None:
    bgr = pixels()[..., ::-1]
    assert torch.equal(read_input(bgr, bgr=True)[0], as_tensor(pixels()))
    for other in (png(), Image.fromarray(pixels()), as_tensor(pixels())):
        assert torch.equal(read_input(other, bgr=True)[0], as_tensor(pixels()))
    model = make()
    (wanted,) = model.predict([pixels()])
    (found,) = model.predict([bgr], bgr=True)
    (streamed,) = model.predict_stream([bgr], options=PredictOptions(bgr=True))
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(streamed.scores, wanted.scores)


def test_images_of_pillow_are_turned_upright_as_files_are(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels()).save(path, exif=exif, quality=95)
    assert read_input(path)[0].shape == (3, 47, 33)
    with Image.open(path) as opened:
        assert torch.equal(read_input(opened)[0], read_input(path)[0])
    assert torch.equal(read_input(path.read_bytes())[0], read_input(path)[0])


def test_an_iterator_is_read_one_pass_at_a_time() -> None:
    read: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for i in range(7):
            read.append(i)
            yield pixels()

    stream = make().predict_stream(images(), options=PredictOptions(batch_size=2))
    next(stream)
    assert read == [0, 1]
    assert len(list(stream)) == 6


@pytest.mark.parametrize("given", [None, 5, 2.5, {"a": 1}, {1, 2}, object()])
def test_what_is_no_image_is_named(given: object) -> None:
    with pytest.raises(ShapeError) as error:
        image_items(given)
    kind = type(given).__name__
    assert str(error.value) == (
        f"predict: images is a {kind}; {ALLOWED}, a folder, or a list or an iterator of such images."
    )
    with pytest.raises(ShapeError) as error:
        list(make().predict([given]))
    assert str(error.value) == f"predict: an image is a {kind}; {ALLOWED}."


def test_text_files_and_bytes_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with (
        pytest.raises(ShapeError, match="an image is a TextIOWrapper"),
        (tmp_path / "text.png").open() as file,
    ):
        read_input(file)
    with pytest.raises(DataError, match=r"^8 bytes: not an image in a known format"):
        read_input(b"no image")
    with (
        pytest.raises(DataError, match=r"text\.png: not an image in a known format"),
        (tmp_path / "text.png").open("rb") as file,
    ):
        read_input(file)
    with pytest.raises(DataError, match="the image has no pixels"):
        read_input(Image.new("RGB", (0, 4)))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((8, 8, 3)), "array of float64, shape (8, 8, 3)"),
        (np.zeros((3, 8, 9), np.uint8), "array of uint8, shape (3, 8, 9)"),
        (np.zeros((8, 8), np.uint8), "array of uint8, shape (8, 8)"),
        (np.zeros((8, 8, 4), np.uint8), "array of uint8, shape (8, 8, 4)"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, found: str) -> None:
    with pytest.raises(ShapeError) as error:
        make().predict(array)
    assert str(error.value) == (
        f"predict: an image is an {found}; give uint8, H x W x 3, RGB, 0 to 255 (bgr=True for those of "
        "OpenCV)."
    )


BOX = [5, 4, 30, 28]


@pytest.mark.parametrize(
    "given",
    [
        [BOX],
        (tuple(BOX),),
        torch.tensor([BOX]),
        torch.tensor([BOX], dtype=torch.float64),
        np.array([BOX]),
        np.array([BOX], dtype=np.float32),
        [np.array(BOX)],
    ],
)
def test_boxes_of_every_form_give_the_same(given: Any) -> None:
    model = make("person")
    (wanted,) = model.predict([pixels()], boxes=[torch.tensor([BOX], dtype=torch.float32)])
    (found,) = model.predict([pixels()], boxes=[given])
    assert len(found) == len(wanted) > 0
    assert torch.equal(found.boxes, wanted.boxes)


@pytest.mark.parametrize("nobody", [[], torch.tensor([]), np.zeros((0, 4)), torch.zeros(0, 5)])
def test_nobody_is_an_empty_list(nobody: Any) -> None:
    (found,) = make("person").predict([pixels()], boxes=[nobody])
    assert len(found) == 0


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (None, "boxes of an image are None"),
        ([["a", 1, 2, 3]], "boxes of an image are no table of numbers"),
        ([[1, 2, 3, 4], [1, 2]], "boxes of an image are no table of numbers"),
        ([[1, 2, 3]], r"boxes of an image are of shape \(1, 3\)"),
        (BOX, r"boxes of an image are of shape \(4,\)"),
        ([[0, 0, float("nan"), 4]], "boxes of an image hold NaN or infinity"),
    ],
)
def test_other_boxes_are_refused(given: Any, line: str) -> None:
    with pytest.raises(ShapeError, match=f"^predict: {line}"):
        read_boxes(given)


def test_boxes_are_a_list_with_one_entry_per_image() -> None:
    model = make("person")
    with pytest.raises(ShapeError) as error:
        model.predict([pixels()], boxes=7)
    assert str(error.value) == (
        "predict: boxes is a int; give one list of boxes per image, each M x 4 or M x 5."
    )
    with pytest.raises(ShapeError) as error:
        list(model.predict_stream([pixels(), pixels()], boxes=[[BOX]]))
    assert str(error.value) == (
        "predict: there is no list of boxes number 2; give one list of boxes per image."
    )


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(1, 3, 64, 96),
        torch.zeros(1, 3, 64, 96, dtype=torch.float16),
        torch.zeros(1, 3, 64, 96, dtype=torch.int8),
        torch.zeros(3, 64, 96, dtype=torch.uint8),
        torch.zeros(1, 1, 64, 96, dtype=torch.uint8),
    ],
)
def test_the_model_itself_takes_canvases_of_bytes_only(images: Tensor) -> None:
    with pytest.raises(ShapeError) as error:
        make()(images)
    assert str(error.value) == (
        f"model: images is {images.dtype} of shape {tuple(images.shape)}; give uint8, B x 3 x H x W, RGB, "
        "0 to 255, which the model normalises itself; for other images call predict."
    )


def test_lists_of_canvases_are_refused() -> None:
    with pytest.raises(MtvitError, match=r"^model: images is a list; give uint8"):
        check_canvases([torch.zeros(3, 64, 96, dtype=torch.uint8)])
