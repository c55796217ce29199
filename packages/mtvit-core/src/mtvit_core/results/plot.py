"""The picture of a result, for a notebook or a quick look."""

from io import BytesIO

import torch
from PIL import Image

from mtvit_core.drawing.results import draw_instances
from mtvit_core.errors import ShapeError
from mtvit_core.structures.image_inputs import ImageLike, read_input
from mtvit_core.structures.instances import Instances


def plot(
    result: Instances, image: ImageLike | None = None, bgr: bool = False, heading: str = ""
) -> Image.Image:
    """Draw the objects of a result into their image.

    Args:
        result: What was found.
        image: The original, in any form that prediction takes; by default the file that the result names, or
            a blank page where it names none.
        bgr: As for prediction.
        heading: Written in the upper left corner.

    Raises:
        ShapeError: the image is none, or of another size than the result's.
        DataError: the file cannot be read.
    """
    size = (result.height, result.width)
    given = result.file_name or None if image is None else image
    blank = torch.full((3, *size), 255, dtype=torch.uint8)
    pixels = blank if given is None else read_input(given, bgr)[0]
    if tuple(pixels.shape[-2:]) != size:
        raise ShapeError(
            f"plot: the image is {pixels.shape[-2]} x {pixels.shape[-1]} pixels, and the result is of one of "
            f"{size[0]} x {size[1]}; give the image that was predicted."
        )
    return draw_instances(pixels, result, by_object=True, heading=heading)


def png(result: Instances, heading: str = "") -> bytes:
    """Return the picture as notebooks show it; arguments as those of ``plot``."""
    file = BytesIO()
    plot(result, heading=heading).save(file, "PNG")
    return file.getvalue()
