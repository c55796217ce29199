"""The images that a document lists."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from mtvit_core.errors import DataError
from mtvit_core.structures.image_files import MAX_PIXELS
from mtvit_train.data.formats.documents.document import Document
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.fields import Entry, entries, need, number_id, text

#: LVIS's lists of categories that an image was searched for in vain, and of those with further objects.
ABSENT, UNFINISHED = "neg_category_ids", "not_exhaustive_category_ids"


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image as a file lists it.

    Attributes:
        id: Its id.
        file_name: Path below the image folder, as written.
        height: Rows.
        width: Columns.
        loose: Whether the name may lack folders or have others, so that its last part may be the file's name.
        annotated: Ids of the categories whose objects are annotated in it; None: of all.
    """

    id: int
    file_name: str
    height: int
    width: int
    loose: bool = field(default=False, compare=False)
    annotated: frozenset[int] | None = field(default=None, compare=False)


def image_entries(document: Document, faults: Faults) -> dict[int, ImageEntry]:
    """Return the images of a document by id, in its order.

    Raises:
        DataError: the list or an entry of it is malformed.
    """
    path, found, names = document.path, dict[int, ImageEntry](), set[str]()
    shown = _shown_categories(document.content)
    for place, entry in entries(document.content, "images", f"{path}", faults):
        with faults:
            image = _image(entry, f"{path}: entry {place} of 'images'", document, shown)
            if image.id in found:
                raise DataError(f"{path}: image {image.id} is listed more than once; ids must be unique.")
            if image.file_name in names:
                raise DataError(
                    f"{path}: file name {image.file_name!r} is listed more than once; each image needs its "
                    "own."
                )
            found[image.id] = image
            names.add(image.file_name)
    if not document.content["images"]:
        raise DataError(f"{path}: 'images' is empty; a data set needs at least one image.")
    return found


def _shown_categories(content: Entry) -> dict[int, set[int]] | None:
    """Return the categories that have an object in each image; None where no image lists others (LVIS)."""
    images, annotations = content.get("images"), content["annotations"]
    if not isinstance(images, list) or not any(isinstance(e, dict) and ABSENT in e for e in images):
        return None
    shown: dict[int, set[int]] = {}
    for entry in annotations:
        if isinstance(entry, dict) and all(type(entry.get(k)) is int for k in ("image_id", "category_id")):
            shown.setdefault(entry["image_id"], set()).add(entry["category_id"])
    return shown


def _image(entry: Entry, where: str, document: Document, shown: Mapping[int, set[int]] | None) -> ImageEntry:
    number = number_id(entry, "id", where)
    where = f"{document.path}: image {number}"
    by_address = "file_name" not in entry and "coco_url" in entry  # LVIS
    if by_address:  # its last two parts are folder and name
        name = "/".join(urlsplit(text(entry, "coco_url", where)).path.split("/")[-2:])
    else:
        name = text(entry, "file_name", where)
    below = PurePosixPath(name)
    if below.is_absolute() or ".." in name.replace("\\", "/").split("/") or "\0" in name:
        raise DataError(f"{where}: file name {name!r} leads out of the image folder; give a path below it.")
    height, width = _size(entry, where)
    annotated = None if shown is None else _annotated(entry, shown.get(number, set()), where)
    return ImageEntry(number, str(below), height, width, by_address or document.loose_names, annotated)


def _size(entry: Entry, where: str) -> tuple[int, int]:
    sides = [need(entry, key, where) for key in ("height", "width")]
    if not all(type(side) is int and side >= 1 for side in sides):
        raise DataError(f"{where}: height and width are {sides!r:.60}; both must be whole numbers from 1.")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise DataError(
            f"{where} has {sides[1]} x {sides[0]} pixels, over the cap of {MAX_PIXELS}; shrink it."
        )
    return sides[0], sides[1]


def _annotated(entry: Entry, shown: Collection[int], where: str) -> frozenset[int]:
    """Return what LVIS says of an image: categories with an object or surely without, less the unfinished."""
    listed = []
    for key in (ABSENT, UNFINISHED):
        ids = entry.get(key, [])
        if not isinstance(ids, list) or not all(type(i) is int for i in ids):
            raise DataError(f"{where}: {key} is {ids!r:.40}; it must be a list of category ids.")
        listed.append(set(ids))
    return frozenset({*shown} | listed[0]) - listed[1]
