"""The images of a folder as labelled images without objects."""

from collections.abc import Sequence
from pathlib import Path

from mtvit_core import Categories, Category, DataError, LabelledImage, find_images, image_size


def images_in(folder: Path, names: Sequence[str] | None = None) -> tuple[LabelledImage, ...]:
    """Return the images of a folder, numbered from 1.

    Args:
        folder: Where they lie.
        names: Their names; by default every image file, sorted.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; it should hold the images of a split.")
    found = [path.name for path in find_images([folder])] if names is None else names
    listed = []
    for number, name in enumerate(found, start=1):
        height, width = image_size(folder / name)
        listed.append(LabelledImage(name, number, height, width, (), frozenset()))
    return tuple(listed)


def as_categories(classes: Sequence[str]) -> Categories:
    """Return categories of a data set without objects: its classes of pixels, or one that stands for none."""
    return Categories(tuple(Category(number, name) for number, name in enumerate(classes or ("scene",))))
