"""What prediction may be given: images and boxes in many forms, or one line about the rest."""

import io
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageFile
from torch import Tensor

from mtvit_core.errors import ShapeError
from mtvit_core.structures.image_files import decode_image, find_images, read_image

if TYPE_CHECKING:
    from typing import BinaryIO

    ImageLike = Tensor | np.ndarray | Image.Image | str | Path | bytes | BinaryIO
    Images = ImageLike | Iterable[ImageLike]
    ImageBoxes = Tensor | np.ndarray | Iterable[Iterable[float]]
    Boxes = Iterable[ImageBoxes]
else:  # anything may come; what cannot be used is refused below, in words
    ImageLike = Images = ImageBoxes = Boxes = object

#: An image as it was read, uint8 3 x H x W of any size, and where it came from.
Named = tuple[Tensor, str]

ALLOWED = (
    "give a path, a PIL image, a uint8 tensor 3 x H x W, a uint8 array H x W x 3, the bytes of an image file "
    "or a file open in binary mode"
)
_CORNERS = "give M x 4, x0 y0 x1 y1, or M x 5, with a score."


def image_items(images: Images) -> Iterator[Any]:
    """Return an iterator over single images; an iterator that is given is read no faster than this one.

    Args:
        images: One image, a folder of them, a batch (B x 3 x H x W as a tensor, B x H x W x 3 as an
            array), or any iterable of images.

    Raises:
        ShapeError: it is none of these.
        DataError: a folder holds no image.
    """
    if isinstance(images, str | Path) and Path(images).is_dir():
        return iter(find_images([images]))
    if isinstance(images, Tensor | np.ndarray) and images.ndim not in (1, 4):
        return iter([images])
    if isinstance(images, str | Path | bytes | bytearray | Image.Image | io.IOBase):
        return iter([images])
    if isinstance(images, Mapping | AbstractSet) or not isinstance(images, Iterable):
        raise ShapeError(
            f"predict: images is a {type(images).__name__}; {ALLOWED}, a folder, or a list or an iterator of "
            "such images."
        )
    return iter(images)


def read_input(item: ImageLike, bgr: bool = False) -> Named:
    """Read one image.

    Args:
        item: In one of the forms of ``ALLOWED``. Files and PIL images are turned upright and laid over white,
            as ``read_image`` says.
        bgr: Whether arrays are blue, green, red, as OpenCV reads them; else they are RGB.

    Raises:
        ShapeError: it is something else.
        DataError: a file cannot be read as an image.
    """
    if isinstance(item, Tensor):
        return _checked_tensor(item).cpu(), ""
    if isinstance(item, np.ndarray):
        return _from_array(item, bgr), ""
    if isinstance(item, str | Path):
        return read_image(item), str(item)
    if isinstance(item, Image.Image):
        name = str(item.filename) if isinstance(item, ImageFile.ImageFile) else ""
        return decode_image(item, name or "a PIL image"), name
    if isinstance(item, bytes | bytearray):
        return decode_image(io.BytesIO(item), f"{len(item)} bytes"), ""
    if isinstance(item, io.IOBase) and not isinstance(item, io.TextIOBase):
        name = str(item.name) if isinstance(item, io.BufferedReader | io.FileIO) else ""
        return decode_image(io.BytesIO(item.read()), name or "an open file"), name
    raise ShapeError(f"predict: an image is a {type(item).__name__}; {ALLOWED}.")


def read_boxes(people: ImageBoxes) -> Float[Tensor, "M _"]:
    """Return the boxes of one image as a tensor of floats, M x 4 or M x 5.

    Raises:
        ShapeError: they are no finite numbers, or of another shape.
    """
    if people is None:
        raise ShapeError(
            f"predict: boxes of an image are None; {_CORNERS[:-1]}, an empty list for nobody, or leave boxes "
            "out for all images."
        )
    try:
        found = torch.as_tensor(people if isinstance(people, Tensor) else np.asarray(people, dtype=float))
    except (TypeError, ValueError):
        raise ShapeError(f"predict: boxes of an image are no table of numbers; {_CORNERS}") from None
    found = found.detach().cpu()
    found = found if found.dtype == torch.float64 else found.float()
    if found.numel() == 0 and found.ndim <= 2:
        return found.new_zeros(0, 4)
    if found.ndim != 2 or found.shape[1] not in (4, 5):
        raise ShapeError(f"predict: boxes of an image are of shape {tuple(found.shape)}; {_CORNERS}")
    if not bool(found.isfinite().all()):
        raise ShapeError("predict: boxes of an image hold NaN or infinity; give finite pixels.")
    return found.float()


def check_canvases(images: object) -> None:
    """Refuse what a model cannot be shown as it is.

    Raises:
        ShapeError: it is no uint8 tensor B x 3 x H x W; floats would be normalised once more.
    """
    wanted = "give uint8, B x 3 x H x W, RGB, 0 to 255, which the model normalises itself; for other images "
    if not isinstance(images, Tensor):
        raise ShapeError(f"model: images is a {type(images).__name__}; {wanted}call predict.")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(
            f"model: images is {images.dtype} of shape {tuple(images.shape)}; {wanted}call predict."
        )


def _checked_tensor(image: Tensor) -> Tensor:
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ShapeError(
            f"predict: an image is {image.dtype} of shape {tuple(image.shape)}; "
            "give uint8, 3 x H x W, RGB, 0 to 255."
        )
    return image


def _from_array(image: np.ndarray, bgr: bool) -> Tensor:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ShapeError(
            f"predict: an image is an array of {image.dtype}, shape {tuple(image.shape)}; "
            "give uint8, H x W x 3, RGB, 0 to 255 (bgr=True for those of OpenCV)."
        )
    rgb = image[..., ::-1] if bgr else image
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))
