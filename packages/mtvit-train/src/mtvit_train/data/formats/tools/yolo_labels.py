"""Images with YOLO's label files: where the files lie, and what they say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.translation import (
    Labelled,
    Translated,
    common_folder,
    document_of,
    sizes_of,
)
from mtvit_train.data.formats.tools.yolo_rows import RowForm, read_rows, to_entry


def translate(
    source: Path,
    images: Sequence[Path],
    categories: Sequence[Mapping[str, Any]],
    form: RowForm,
    faults: Faults,
) -> Translated:
    """Return images and the objects of their label files as a COCO document.

    An image without a label file shows nobody, as in Ultralytics.

    Args:
        source: What messages name as the place of the data set.
        images: The images; at least one.
        categories: Entries of COCO's form, with the numbers of the classes as ids.
        form: What rows may hold.
        faults: What to do at an image or a row that is malformed.

    Raises:
        DataError: an image or a row is malformed, or no image has a label file.
    """
    labels = {image: label_file(image) for image in images}
    if not any(path.is_file() for path in labels.values()):
        labels = {image: image.with_suffix(".txt") for image in images}
    if not any(path.is_file() for path in labels.values()):
        places = dict.fromkeys(
            str(path) for image in images[:1] for path in (label_file(image), labels[image])
        )
        raise DataError(
            f"{source}: none of the {len(images)} images has a label file, looked for as in "
            f"{' and '.join(places)}; put the labels there."
        )
    sizes = sizes_of(images, faults)
    found = []
    for image in sizes:
        rows = read_rows(labels[image], form, faults)
        entries = [to_entry(row, form, *sizes[image]) for row in rows]
        found.append(Labelled(image, entries, [f"{labels[image]}:{row.line}" for row in rows]))
    return document_of(source, common_folder(images), list(map(dict, categories)), found, sizes)


def label_file(image: Path) -> Path:
    """Return where the labels of an image lie: in ``labels`` in the place of the last ``images`` of its path.

    Without a folder of that name, beside the image.
    """
    parts = list(image.parts[:-1])
    places = [place for place, part in enumerate(parts) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts, image.name).with_suffix(".txt")
