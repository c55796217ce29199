"""The images that a command is given, folders with all below them, and where the picture of each goes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtvit_core.errors import ConfigError, DataError
from mtvit_core.structures.image_files import IMAGE_SUFFIXES


@dataclass(frozen=True)
class ImageTree:
    """Images and their places.

    Attributes:
        images: The files.
        places: Path of each within the folder it was found in; its name where it was given itself.
        left_out: Files of the folders that are no images by their endings.
    """

    images: tuple[Path, ...]
    places: tuple[Path, ...]
    left_out: tuple[Path, ...]


def image_tree(given: Sequence[Path], out: Path) -> ImageTree:
    """List images: files as given, folders with all folders below them, sorted.

    What begins with a dot is left out, and so is the folder of the results.

    Raises:
        DataError: a path does not exist, or a folder holds no image.
    """
    images: list[Path] = []
    places: list[Path] = []
    left_out: list[Path] = []
    for path in given:
        if not path.is_dir():
            if not path.exists():
                raise DataError(f"{path}: no such file or folder; check the path.")
            images, places = [*images, path], [*places, Path(path.name)]
            continue
        files = list(_files(path, out))
        found = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            raise DataError(
                f"{path}: the folder holds no image; give a folder with files ending in "
                f"{' '.join(IMAGE_SUFFIXES)}."
            )
        images += found
        places += [file.relative_to(path) for file in found]
        left_out += [file for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    return ImageTree(tuple(images), tuple(places), tuple(left_out))


def _files(folder: Path, out: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(n for n in folders if n[0] != "." and (here / n).absolute() != out.absolute())
        yield from (here / name for name in sorted(names) if name[0] != "." and (here / name).is_file())


def pictures_of(tree: ImageTree, out: Path) -> list[Path]:
    """Name the picture of each image, in the same folders as the images.

    Raises:
        ConfigError: two images would have the same picture.
    """
    taken: dict[Path, Path] = {}
    for path, place in zip(tree.images, tree.places, strict=True):
        target = out / place.with_suffix(".jpg")
        if target in taken:
            raise ConfigError(
                f"images {taken[target]} and {path}: both would be written to {target}; "
                "predict them into separate folders."
            )
        taken[target] = path
    return list(taken)


@contextmanager
def writable(out: Path) -> Iterator[None]:
    """Make a folder and try it, before any work is done; what stays empty is removed where the work fails.

    Raises:
        ConfigError: nothing can be written there.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".mtvit-probe"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as cause:
        raise ConfigError(f"out {out}: it cannot be written ({cause}); give another folder.") from None
    try:
        yield
    except BaseException:
        for folder in made:
            if any(folder.iterdir()):
                break
            folder.rmdir()
        raise
