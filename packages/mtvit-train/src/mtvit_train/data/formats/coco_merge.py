"""Several annotation files of the same images, merged by image id, category id and annotation id."""

from collections.abc import Sequence
from dataclasses import replace

from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.structures.categories import Categories, Category
from mtvit_train.data.formats.coco_file import CocoFile, Instance
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.formats.faults import STOP, Faults

# Boxes of two files may differ by their rounding, in pixels.
_ROUNDING = 0.02


def merge_images(files: Sequence[CocoFile], faults: Faults = STOP) -> dict[int, ImageEntry]:
    """Unite the images, in the order of the files; the first file's stand where a fault is noted.

    Raises:
        DataError: An id stands for two images, or a file name for two ids.
    """
    images: dict[int, ImageEntry] = {}
    for file in files:
        for number, image in file.images.items():
            first = images.setdefault(number, image)
            with faults:
                if first != image:
                    raise _conflict(file, files[0], f"image {number}", _describe(image), _describe(first))
    names: dict[str, int] = {}
    for number, image in images.items():
        other = names.setdefault(image.file_name, number)
        with faults:
            if other != number:
                raise _conflict(
                    files[-1], files[0], f"file {image.file_name!r}", f"image {number}", f"image {other}"
                )
    return images


def merge_categories(files: Sequence[CocoFile], faults: Faults = STOP) -> Categories:
    """Unite the categories, in the order of their ids; the first file's stand where a fault is noted.

    Raises:
        DataError: An id has two names or two keypoint schemas.
    """
    merged: dict[int, Category] = {}
    for file in files:
        for number, category in file.categories.items():
            first = merged.setdefault(number, category)
            with faults:
                if first.name != category.name:
                    raise _conflict(
                        file, files[0], f"category {number}", f"called {category.name!r}", f"{first.name!r}"
                    )
            # No fault to go on after: the keypoints of all its annotations would fit neither schema.
            if first.keypoints and category.keypoints and first.keypoints != category.keypoints:
                raise DataError(
                    f"{file.path}: the keypoints of category {category.name!r} differ from those in "
                    f"{files[0].path.name}; they must agree."
                )
            merged[number] = replace(first, keypoints=first.keypoints or category.keypoints)
    return Categories(tuple(merged[number] for number in sorted(merged)))


def merge_instances(files: Sequence[CocoFile], faults: Faults = STOP) -> list[Instance]:
    """Unite the annotations; the first file's fields stand, later files add keypoints.

    Where a fault is noted, the first file's annotation stands alone.

    Raises:
        DataError: Two files disagree about an annotation.
    """
    merged = dict(files[0].instances)
    for file in files[1:]:
        for number, instance in file.instances.items():
            first = merged.setdefault(number, instance)
            with faults:
                _check_agree(first, instance, file, files[0])
                merged[number] = replace(first, keypoints=first.keypoints or instance.keypoints)
    dropped = set[int]().union(*(file.dropped for file in files))
    return [instance for instance in merged.values() if instance.id not in dropped]


def check_known(found: Categories, known: Categories, source: str) -> None:
    """Check that each category of a data set is one that a model knows; the data set may lack some.

    Args:
        found: Categories of the data set.
        known: Categories of the model.
        source: What the error message names as the place.

    Raises:
        DataError: An id is not known, or has another name or other keypoints.
    """
    by_id = {category.id: category for category in known}
    for category in found:
        expected = by_id.get(category.id)
        if expected is None:
            near = did_you_mean(category.name, (c.name for c in known))
            raise DataError(
                f"{source}: category {category.id} ({category.name!r}) is none of the {len(known)} that the "
                f"model knows.{near}"
            )
        if expected.name != category.name:
            raise DataError(
                f"{source}: category {category.id} is called {category.name!r}, but the model knows it as "
                f"{expected.name!r}; ids and names must agree."
            )
        names = () if category.keypoints is None else category.keypoints.names
        if names and (expected.keypoints is None or expected.keypoints.names != names):
            raise DataError(
                f"{source}: the keypoints of category {category.name!r} are not those that the model knows; "
                f"names and order must agree."
            )


def _check_agree(first: Instance, other: Instance, file: CocoFile, first_file: CocoFile) -> None:
    what = f"annotation {first.id}"
    for key, a, b in (
        ("image_id", first.image_id, other.image_id),
        ("category_id", first.category_id, other.category_id),
        ("iscrowd", int(first.crowd), int(other.crowd)),
    ):
        if a != b:
            raise _conflict(file, first_file, what, f"{key} {b}", f"{a}")
    if max(abs(a - b) for a, b in zip(first.bbox, other.bbox, strict=True)) > _ROUNDING:
        raise _conflict(file, first_file, what, f"bbox {list(other.bbox)}", f"{list(first.bbox)}")


def _conflict(file: CocoFile, first: CocoFile, what: str, here: str, there: str) -> DataError:
    return DataError(f"{file.path}: {what} is {here}, but {first.path.name} says {there}; they must agree.")


def _describe(image: ImageEntry) -> str:
    return f"{image.file_name} of {image.width} x {image.height} pixels"
