"""How a folder of another tool is read: a plan, and the COCO document that a split becomes by it."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.image_files import upright_size
from mtvit_train.data.formats.documents.document import Document
from mtvit_train.data.formats.faults import Faults

Entry = dict[str, Any]


@dataclass(frozen=True)
class Translated:
    """A split as a COCO document.

    Attributes:
        folder: Where its images lie.
        document: What is annotated.
    """

    folder: Path
    document: Document


@dataclass(frozen=True)
class Plan:
    """How a folder is read.

    Attributes:
        line: What is said of it: the form, and where the splits come from.
        shared: Whether it has one split only, so that val is a share of it.
        read: Reads a split; faults of rows are noted or stop it.
    """

    line: str
    shared: bool
    read: Callable[[SplitName, Faults], Translated]


def common_folder(images: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all images; at least one is given."""
    return Path(os.path.commonpath([image.parent for image in images]))


@dataclass(frozen=True)
class Labelled:
    """An image and the objects in it.

    Attributes:
        path: The image file.
        objects: Annotations of COCO's fields, without ids.
        places: Where each is written.
    """

    path: Path
    objects: Sequence[Entry]
    places: Sequence[str]


def document_of(
    source: Path,
    folder: Path,
    categories: Sequence[Entry],
    images: Sequence[Labelled],
    sizes: Mapping[Path, tuple[int, int]],
) -> Translated:
    """Put images and objects into a document; both are numbered from 1.

    Args:
        source: What messages name as its place.
        folder: Where the images lie.
        categories: Entries of COCO's form.
        images: The images with their objects.
        sizes: Rows and columns of the upright images.
    """
    listed, entries, places = list[Entry](), list[Entry](), dict[int, str]()
    for number, image in enumerate(images, start=1):
        height, width = sizes[image.path]
        name = image.path.relative_to(folder).as_posix()
        listed.append({"id": number, "file_name": name, "height": height, "width": width})
        for one, place in zip(image.objects, image.places, strict=True):
            entries.append({"id": len(entries) + 1, "image_id": number, "iscrowd": 0, **one})
            places[len(entries)] = place
    content = {"images": listed, "annotations": entries, "categories": list(categories)}
    return Translated(folder, Document(source, content, places))


def sizes_of(images: Sequence[Path], faults: Faults) -> dict[Path, tuple[int, int]]:
    """Read the sizes of images; one that cannot be read is a fault, and left out.

    Raises:
        DataError: an image cannot be read.
    """
    sizes = {}
    for path in images:
        with faults:
            sizes[path] = upright_size(path)
    return sizes


def text_of(path: Path) -> str:
    """Read a text file.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text.") from None
