"""Classes of whole images in COCO's form: annotations of an image and a category, without a box.

Datumaro writes such files as ``annotations/labels_<split>.json``.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Category
from mtvit_train.data.formats.coco_file import CocoFile, listed_categories
from mtvit_train.data.formats.documents.document import Document, load_json
from mtvit_train.data.formats.documents.image_entries import ImageEntry, image_entries
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.formats.fields import entries, number_id
from mtvit_train.data.image_labels import PackedImageLabels


@dataclass(frozen=True)
class CocoLabels:
    """The contents of one file.

    Attributes:
        file: Its images and categories; it lists no object.
        shown: Ids of the categories of each image that it lists.
    """

    file: CocoFile
    shown: dict[int, tuple[int, ...]]

    @property
    def classes(self) -> tuple[Category, ...]:
        """The classes in the order of their ids."""
        return tuple(category for _, category in sorted(self.file.categories.items()))

    def pack(self, images: Collection[ImageEntry]) -> PackedImageLabels:
        """Return the classes of these images; those that the file does not list are not labelled."""
        label_of = {category.id: label for label, category in enumerate(self.classes)}
        shown = [self.shown.get(image.id) for image in images]
        labels = [None if ids is None else [label_of[number] for number in ids] for ids in shown]
        return PackedImageLabels.of(labels, len(label_of))


def read_coco_labels(path: Path, faults: Faults = STOP) -> CocoLabels:
    """Read one file; a category that is given twice to an image counts once.

    Args:
        path: The file; it must exist.
        faults: What to do at an entry that is not as the format asks; it is left out.

    Raises:
        DataError: the file is not as the format asks.
    """
    document = load_json(path)
    if not isinstance(document, dict):
        raise DataError(f"{path}: holds a {type(document).__name__}; a COCO file holds one object.")
    notes: list[str] = []
    categories = listed_categories(document, path, faults, notes)
    images = image_entries(Document(path, document), faults)
    shown: dict[int, dict[int, None]] = {number: {} for number in images}
    for place, entry in entries(document, "annotations", f"{path}", faults):
        with faults:
            where = f"{path}: entry {place} of 'annotations'"
            image, category = number_id(entry, "image_id", where), number_id(entry, "category_id", where)
            if image not in images or category not in categories:
                what, number = ("images", image) if image not in images else ("categories", category)
                raise DataError(
                    f"{where} points to {number}, which {what!r} does not list; add it or remove this entry."
                )
            shown[image][category] = None
    file = CocoFile(path, categories, images, masked=False, notes=notes, objects=False)
    return CocoLabels(file, {image: tuple(ids) for image, ids in shown.items()})
