"""Dense labels: one number per pixel of an image, as grey PNG files beside the images.

label = scale * grey value; grey value 0: the pixel is not labelled (NaN)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_train.data.near_names import near_path

#: Pillow's modes of one channel of whole numbers.
_GREY = ("L", "I;16", "I")


@dataclass(frozen=True, eq=False)
class PackedMaps:
    """The dense labels of one name in a split.

    Attributes:
        folder: Where the files lie; each is named as its image, with the ending ``.png``.
        scale: What one step of the grey value is worth.
        there: Which images have a file.
    """

    folder: Path
    scale: float
    there: Bool[ndarray, " I"]

    def read(self, file_name: str, size: tuple[int, int]) -> Float32[ndarray, "H W"]:
        """Read the labels of one image.

        Args:
            file_name: The image's.
            size: Rows and columns of the image.

        Raises:
            DataError: the file is no grey image, or of another size.
        """
        path = self.folder / map_name(file_name)
        try:
            with Image.open(path) as picture:
                mode, grey = picture.mode, np.asarray(picture)
        except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as cause:
            raise DataError(f"{path}: not a readable image ({cause}); write a grey PNG.") from None
        if mode not in _GREY:
            raise DataError(f"{path}: its pixels are {mode!r}; a dense label is a grey PNG of 8 or 16 bits.")
        if grey.shape != size:
            raise DataError(
                f"{path}: the label has {grey.shape[1]} x {grey.shape[0]} pixels, its image {size[1]} x "
                f"{size[0]}; "
                "make them equal."
            )
        labels = grey.astype(np.float32) * np.float32(self.scale)
        labels[grey == 0] = np.nan
        return labels


def map_name(file_name: str) -> str:
    """Return the file of an image's dense labels, below their folder."""
    return str(Path(file_name).with_suffix(".png"))


def read_maps(root: Path, path: Path, file_names: Sequence[str]) -> dict[str, PackedMaps]:
    """Read which dense labels a split has.

    Args:
        root: The data folder.
        path: The file that lists them; a split without it has none.
        file_names: Of the images.

    Raises:
        DataError: the file is malformed, or a folder that it names is not there.
    """
    if not path.is_file():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["maps"]
        entries = {str(entry["name"]): (root / entry["folder"], float(entry["scale"])) for entry in listed}
    except (ValueError, KeyError, TypeError) as cause:
        raise DataError(
            f'{path}: not a list of dense labels ({cause!r}); write {{"maps": [{{"name": "depth", "folder": '
            '"depth/train2017", "scale": 0.001}]}.'
        ) from None
    return {name: pack_maps(path, name, *entry, file_names) for name, entry in entries.items()}


def pack_maps(
    where: Path | str, name: str, folder: Path, scale: float, file_names: Sequence[str]
) -> PackedMaps:
    """Find which images have a dense label.

    Args:
        where: What says so, for messages.
        name: Its name.
        folder: Where the files lie.
        scale: Label per step of the grey value.
        file_names: Of the images.

    Raises:
        DataError: the name is taken, or no image has one.
    """
    if name in LABEL_KINDS:
        raise DataError(f"{where}: {name!r} is a label of objects; give the dense label another name.")
    if not folder.is_dir():
        raise DataError(
            f"{where}: {name!r} should be in {folder}, but there is no such folder; correct it."
            f"{near_path(folder)}"
        )
    there = {str(file.relative_to(folder)) for file in folder.rglob("*.png")}
    found = np.array([map_name(file_name) in there for file_name in file_names], bool)
    if not found.any():
        raise DataError(
            f"{where}: no image of the split has a label in {folder}; name the files as the images, as in "
            f"{map_name(file_names[0])}."
        )
    return PackedMaps(folder, scale, found)
