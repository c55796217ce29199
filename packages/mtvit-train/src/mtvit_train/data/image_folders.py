"""Image files of folders in any layout."""

from collections.abc import Iterable
from pathlib import Path

from mtvit_core.errors import DataError
from mtvit_core.structures.image_files import IMAGE_SUFFIXES


def images_below(folder: Path) -> list[Path]:
    """Return the image files at any depth of a folder, sorted by path; hidden files are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def images_of(folders: Iterable[str | Path]) -> list[Path]:
    """Return the image files below some folders, one folder after the other.

    Raises:
        DataError: a folder is not there, or holds no image.
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"data {folder}: no such folder; give one that holds images, at any depth.")
        images = images_below(folder)
        if not images:
            raise DataError(
                f"data {folder}: holds no image, at any depth; give a folder with files ending in "
                f"{' '.join(IMAGE_SUFFIXES)}."
            )
        found += images
    return found
