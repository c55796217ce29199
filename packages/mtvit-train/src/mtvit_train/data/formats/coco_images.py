"""The image files that annotations name: found, or missed with the nearest name that is there."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mtvit_core.errors import DataError
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.near_names import near_name, near_path


def found_images(
    folder: Path, images: dict[int, ImageEntry], faults: Faults, notes: list[str]
) -> dict[int, ImageEntry]:
    """Return the images whose files are there, under the names that the files have.

    Where no file of the literal name is there, a name with backslashes is read with slashes; and a loose one,
    as LVIS gives as an address, by its last part, in whatever folder below the only file of it lies.

    Args:
        folder: The image folder.
        images: Images by id.
        faults: What to do at an image without a file; where that is noted, the image is left out.
        notes: Given a line where names are read otherwise than they are written.

    Raises:
        DataError: the folder or a file is not there.
    """
    if not folder.is_dir():
        above = folder.parent
        there = sorted(p.name for p in above.iterdir() if p.is_dir()) if above.is_dir() else []
        raise DataError(
            f"{folder}: no such image folder; its parent has {', '.join(there[:8]) or 'no folders'}. "
            f"Name it with coco.images.{near_path(folder)}"
        )
    names = _names_below(folder, {spelt for image in images.values() for spelt in _spellings(image)})
    spelt = {i: next((s for s in _spellings(image) if s in names), None) for i, image in images.items()}
    if any(name is None and images[i].loose for i, name in spelt.items()):
        by_last = _only_ones(folder)
        for i, image in images.items():
            if spelt[i] is None and image.loose:
                spelt[i] = by_last.get(_last(image.file_name))
    missing = [images[i] for i, name in spelt.items() if name is None]
    found = {i: replace(images[i], file_name=name) for i, name in spelt.items() if name is not None}
    changed = [images[i].file_name for i, image in found.items() if image.file_name != images[i].file_name]
    if changed:
        notes.append(
            f"{folder}: {len(changed)} of {len(images)} images have another name than their entries give, as "
            f"{changed[0]!r}: backslashes are read as slashes, and addresses by their last parts."
        )
    for image in missing:
        with faults:
            raise DataError(
                f"{folder / image.file_name}: no such image file, though image {image.id} names it "
                f"({len(missing)} of {len(images)} images are missing); add the files or remove their "
                f"entries.{_nearest(folder, image.file_name)}"
            )
    return found


def _spellings(image: ImageEntry) -> tuple[str, ...]:
    slashed = image.file_name.replace("\\", "/")
    last = (_last(image.file_name),) if image.loose else ()
    return tuple(dict.fromkeys((image.file_name, str(PurePosixPath(slashed)), *last)))


def _last(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _only_ones(folder: Path) -> dict[str, str]:
    """Return the files below a folder whose last part no other one has, by it."""
    by_last: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            by_last.setdefault(path.name, []).append(path.relative_to(folder).as_posix())
    return {last: names[0] for last, names in by_last.items() if len(names) == 1}


def _names_below(folder: Path, names: Collection[str]) -> set[str]:
    """Which of these names are files below a folder; each folder is listed once, in its own spelling."""
    parents = {PurePosixPath(name).parent for name in names}
    return {
        str(parent / path.name)
        for parent in parents
        if (folder / parent).is_dir()
        for path in (folder / parent).iterdir()
    }


def _nearest(folder: Path, name: str) -> str:
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return near_name(name, there, "correct the name in the file, or rename the image")
