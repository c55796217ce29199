"""One COCO annotation file, read and checked entry by entry."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mtvit_core.errors import DataError
from mtvit_core.structures.categories import Category
from mtvit_core.structures.masks import Rle, rle_area
from mtvit_train.data.formats.coco_categories import parse_category
from mtvit_train.data.formats.documents.dialects import adapted
from mtvit_train.data.formats.documents.document import Document, load_json
from mtvit_train.data.formats.documents.image_entries import ImageEntry, image_entries
from mtvit_train.data.formats.documents.unused_fields import note_of_unused
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.formats.fields import Entry, entries, need, number_id, numbers
from mtvit_train.data.formats.segmentation import DegenerateError, is_empty, parse_segmentation

Degenerate = Literal["error", "drop"]
#: The fields by which an annotation points to its image and its category.
_OWNERS = ("image_id", "category_id")


@dataclass(frozen=True, slots=True)
class Instance:
    """An annotation as a file lists it.

    Attributes:
        id: Its id.
        image_id: The image it lies in.
        category_id: Its class.
        bbox: x, y, width, height in pixels.
        area: Square pixels.
        crowd: Whether it stands for a group.
        keypoints: x, y, visibility of each keypoint in turn; None where it has none or none is labelled.
        rle: Its mask, None where it has none or the mask is known already.
    """

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool
    keypoints: tuple[float, ...] | None
    rle: Rle | None


@dataclass
class CocoFile:
    """The contents of one annotation file.

    Attributes:
        path: The file.
        categories: By id.
        images: By id, in the file's order.
        instances: By id, in the file's order.
        masked: Whether the file gives masks.
        dropped: The image of each annotation that was left out as degenerate.
        unmasked: Annotations whose mask was left out as degenerate; their boxes stay.
        notes: What was read otherwise than it is written, a line each.
        objects: Whether the file lists objects, not classes of whole images.
    """

    path: Path
    categories: dict[int, Category]
    images: dict[int, ImageEntry]
    masked: bool
    instances: dict[int, Instance] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    unmasked: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    objects: bool = True

    @property
    def listed(self) -> tuple[tuple[str, Mapping[int, object]], ...]:
        """What was read of the lists that annotations point into, by the name of the list."""
        return ("images", self.images), ("categories", self.categories)

    @property
    def has_keypoints(self) -> bool:
        """Whether some category of the file has keypoints."""
        return any(category.keypoints is not None for category in self.categories.values())


def read_coco_file(
    path: Path, degenerate: Degenerate = "error", known: Set[int] = frozenset(), faults: Faults = STOP
) -> CocoFile:
    """Read one annotation file; see ``read_document``.

    Raises:
        DataError: The file is not as COCO's format asks.
    """
    return read_document(adapted(Document(path, load_json(path))), degenerate, known, faults)


def read_document(
    document: Document,
    degenerate: Degenerate = "error",
    known: Set[int] = frozenset(),
    faults: Faults = STOP,
) -> CocoFile:
    """Check one document.

    An annotation whose ``segmentation`` is absent or empty has no mask; a file in which none has one gives no
    masks.

    Args:
        document: The document.
        degenerate: Whether annotations and masks that cover nothing are errors or left out.
        known: Ids of annotations whose masks are known already; their segmentations are not read.
        faults: What to do at an entry that is not as the format asks. Annotations of an image or a category
            that was refused are left out without a line of their own.

    Raises:
        DataError: The document is not as COCO's format asks.
    """
    path, content = document.path, document.content
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; a COCO file holds one object.")
    listed = entries(content, "annotations", f"{path}", faults)
    notes = [*document.notes]
    categories = listed_categories(content, path, faults, notes)
    file = CocoFile(
        path=path,
        categories=categories,
        images=image_entries(document, faults),
        masked=not listed or any(not is_empty(entry.get("segmentation")) for _, entry in listed),
        notes=notes,
    )
    refused = [_ids(content[key]) - there.keys() for key, there in file.listed]
    for place, entry in listed:
        if any(_scalar(entry.get(key)) in ids for key, ids in zip(_OWNERS, refused, strict=True)):
            continue
        with faults:
            number = number_id(entry, "id", f"{path}: entry {place} of 'annotations'")
            if number in file.instances or number in file.dropped:
                raise DataError(f"{path}: annotation {number} is listed more than once; ids must be unique.")
            try:
                where = document.place_of(number)
                file.instances[number] = _instance(entry, number, where, file, number in known, degenerate)
            except DegenerateError:
                if degenerate == "error":
                    raise
                file.dropped[number] = entry["image_id"]
    _note_areas(file, [entry for _, entry in listed])
    file.notes += note_of_unused(path, [entry for _, entry in listed])
    return file


def near_id(number: int, known: Collection[int]) -> str:
    """Return a sentence about ids, where one is off by one of all that are listed."""
    low, high = min(known, default=0), max(known, default=0)
    if number in (low - 1, high + 1) and len(known) > 1:
        return f" The ids that are listed run from {low} to {high}: do they count from another number?"
    return ""


def _ids(listed: list[Any]) -> set[Any]:
    return {_scalar(entry.get("id")) for entry in listed if isinstance(entry, dict)} - {None}


def _scalar(value: Any) -> Any:
    return value if isinstance(value, int | str) else None


def _note_areas(file: CocoFile, listed: list[Entry]) -> None:
    """Say how many areas are 0 though the box is not: scores of poses divide by the area."""
    zero = [e["id"] for e in listed if e.get("area") == 0 and _scalar(e.get("id")) in file.instances]
    if zero:
        file.notes.append(
            f"{file.path}: area is 0 in {len(zero)} of {len(listed)} annotations (as {zero[0]}); that of the "
            "mask or box is used."
        )


def listed_categories(document: Entry, path: Path, faults: Faults, notes: list[str]) -> dict[int, Category]:
    """Read the list ``categories``: each category by its id."""
    found: dict[int, Category] = {}
    for place, entry in entries(document, "categories", f"{path}", faults):
        with faults:
            category = parse_category(entry, f"{path}: entry {place} of 'categories'", notes)
            if category.id in found:
                raise DataError(
                    f"{path}: category {category.id} is listed more than once; ids must be unique."
                )
            found[category.id] = category
    if not document["categories"]:
        raise DataError(f"{path}: 'categories' is empty; a data set needs at least one category.")
    return found


def _instance(
    entry: Entry, number: int, where: str, file: CocoFile, mask_known: bool, degenerate: Degenerate
) -> Instance:
    image_id, category_id = number_id(entry, "image_id", where), number_id(entry, "category_id", where)
    if image_id not in file.images:
        raise DataError(
            f"{where} lies in image {image_id}, which 'images' does not list; add it or remove this."
            f"{near_id(image_id, file.images)}"
        )
    if category_id not in file.categories:
        raise DataError(
            f"{where} has category {category_id}, which 'categories' does not list; add or correct it."
            f"{near_id(category_id, file.categories)}"
        )
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{where}: iscrowd is {crowd!r:.40}; it must be 0 or 1.")
    image = file.images[image_id]
    # Malformed fields are errors in any case; what covers nothing comes last, so that it can be left out.
    keypoints = _keypoints(entry, file.categories[category_id], where)
    bbox = _bbox(entry, image, keypoints, where)
    value, rle = entry.get("segmentation"), None
    if not mask_known and not is_empty(value):
        try:
            rle = parse_segmentation(value, image.height, image.width, where)
        except DegenerateError:
            if degenerate == "error":
                raise
            file.unmasked.add(number)
    area = _area(entry, bbox, rle, where)
    return Instance(number, image_id, category_id, bbox, area, bool(crowd), keypoints, rle)


def _bbox(
    entry: Entry, image: ImageEntry, keypoints: tuple[float, ...] | None, where: str
) -> tuple[float, float, float, float]:
    drawn = entry.get("bbox") is not None or keypoints is None
    x, y, width, height = (
        numbers(need(entry, "bbox", where), "bbox", where, 4) if drawn else box_of_points(keypoints or ())
    )
    if width <= 0 or height <= 0:
        raise DegenerateError(f"{where}: bbox is {width:g} wide and {height:g} high; both must be above 0.")
    if x >= image.width or y >= image.height or x + width <= 0 or y + height <= 0:
        raise DegenerateError(
            f"{where}: bbox [{x:g}, {y:g}, {width:g}, {height:g}] lies outside its image of {image.width} x "
            f"{image.height} pixels; correct or remove it."
        )
    return x, y, width, height


def box_of_points(points: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the box (x, y, width, height) around labelled keypoints, at least a pixel wide and high."""
    xs, ys = (
        [value for value, seen in zip(points[axis::3], points[2::3], strict=True) if seen] for axis in (0, 1)
    )
    return min(xs), min(ys), max(max(xs) - min(xs), 1.0), max(max(ys) - min(ys), 1.0)


def _area(entry: Entry, bbox: tuple[float, ...], rle: Rle | None, where: str) -> float:
    if entry.get("area") in (None, 0):
        return bbox[2] * bbox[3] if rle is None else rle_area(rle)
    area = numbers([entry["area"]], "area", where)[0]
    if area < 0:
        raise DataError(f"{where}: area is {area:g}; it must not be negative.")
    return area


def _keypoints(entry: Entry, category: Category, where: str) -> tuple[float, ...] | None:
    value = entry.get("keypoints")
    if value is None or value == []:
        return None
    schema = category.keypoints
    if schema is None:
        raise DataError(
            f"{where} has keypoints, but category {category.name!r} names none; add them to the category."
        )
    points = numbers(value, "keypoints", where, 3 * len(schema.names))
    bad = [v for v in points[2::3] if v not in (0, 1, 2)]
    if bad:
        raise DataError(f"{where}: a keypoint has visibility {bad[0]:g}; allowed are 0, 1 and 2.")
    return tuple(points) if any(points[2::3]) else None
