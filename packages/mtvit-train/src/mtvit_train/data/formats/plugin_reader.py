"""From what a plugin's reader yields to packed arrays; each object is checked as COCO's are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtvit_core.errors import DataError
from mtvit_core.plugins.dataset_reader import LabelledImage, LabelledObject, Reader
from mtvit_core.structures.annotations import LABEL_KINDS, SplitName
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.masks import rle_area
from mtvit_train.data.dense_maps import pack_maps
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.image_labels import PackedImageLabels
from mtvit_train.data.packed import Member, PackedAnnotations


def read_with(reader: Reader[Any], root: Path, split: SplitName, faults: Faults = STOP) -> PackedAnnotations:
    """Read one split by a plugin's reader.

    Args:
        reader: The reader.
        root: The data folder.
        split: Which split.
        faults: What to do at an image that does not fit; it is left out.

    Raises:
        DataError: what it yields does not fit together.
    """
    where = f"reader {reader.name!r}, {root}"
    categories, found = reader.categories(root), reader.split(root, split)
    images = tuple(found.images)
    if not images:
        raise DataError(f"{where}: the split {split!r} has no images.")
    _check_ids(images, where)
    sound: list[LabelledImage] = []
    for image in images:
        with faults:
            _check(image, found.folder, categories, where)
            sound.append(image)
    images = tuple(sound)
    objects = [(one, image) for image in images for one in image.objects]
    masks = [b"" if one.rle is None else one.rle.counts.encode("ascii") for one, _ in objects]
    posed = np.array([one.keypoints is not None for one, _ in objects], bool)
    counts = [len(image.objects) for image in images]
    names = [image.file_name for image in images]
    maps = {name: pack_maps(where, name, source, names) for name, source in found.maps.items()}
    return PackedAnnotations(
        categories=categories,
        members=(Member(root.name, found.folder, maps=maps, image_labels=_shown(images, categories)),),
        file_names=np.array([name.encode() for name in names]),
        image_ids=np.array([image.image_id for image in images], np.int64),
        sizes=np.array([(image.height, image.width) for image in images], np.int32),
        has=_bits(images),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=np.array([one.box for one, _ in objects], np.float32).reshape(-1, 4),
        labels=np.array([categories.label_of_id[one.category_id] for one, _ in objects], np.int32),
        ids=np.arange(1, len(objects) + 1, dtype=np.int64),
        areas=np.array([_area(one) for one, _ in objects], np.float32),
        crowd=np.array([one.is_crowd for one, _ in objects], bool),
        keypoint_rows=np.where(posed, np.cumsum(posed) - 1, -1).astype(np.int32),
        keypoints=_keypoints([one for one, _ in objects], categories.max_keypoints),
        mask_first=np.concatenate([[0], np.cumsum([len(mask) for mask in masks])]).astype(np.int64),
        mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
    )


def _check_ids(images: Sequence[LabelledImage], where: str) -> None:
    seen: dict[int, str] = {}
    for image in images:
        if image.image_id in seen:
            raise DataError(
                f"{where}: image id {image.image_id} is used for {seen[image.image_id]} and "
                f"{image.file_name}; "
                "give each image its own."
            )
        seen[image.image_id] = image.file_name


def _check(image: LabelledImage, folder: Path, categories: Categories, where: str) -> None:
    here = f"{where}: image {image.file_name}"
    if not (folder / image.file_name).is_file():
        raise DataError(f"{here}: there is no such file in {folder}.")
    unknown = sorted(image.has - {*LABEL_KINDS})
    if unknown:
        raise DataError(f"{here}: {unknown[0]!r} is no kind of label; allowed: {', '.join(LABEL_KINDS)}.")
    ids = {category.id for category in categories.images}
    strange = sorted(set(image.image_labels or ()) - ids)
    if strange:
        raise DataError(f"{here}: class {strange[0]} is not among the categories' images.")
    for number, one in enumerate(image.objects):
        fault = _fault(one, image, categories)
        if fault:
            raise DataError(f"{here}, object {number}: {fault}.")


def _fault(one: LabelledObject, image: LabelledImage, categories: Categories) -> str:
    """What is wrong with an object; empty where nothing is."""
    x0, y0, x1, y1 = one.box
    if one.category_id not in categories.label_of_id:
        return f"category {one.category_id} is not among the categories"
    if not (max(x0, 0) < min(x1, image.width) and max(y0, 0) < min(y1, image.height)):
        return f"the box {one.box} covers nothing of {image.width} x {image.height} pixels"
    if "masks" in image.has and one.rle is None:
        return "it has no mask, but the image is said to have masks"
    if one.rle is not None and one.rle.size != (image.height, image.width):
        return f"its mask is {one.rle.size[1]} x {one.rle.size[0]}, the image {image.width} x {image.height}"
    schema = categories[categories.label_of_id[one.category_id]].keypoints
    expected = (0 if schema is None else len(schema.names), 3)
    if one.keypoints is not None and one.keypoints.shape != expected:
        return f"its keypoints have shape {one.keypoints.shape}, its category {expected}"
    return ""


def _shown(images: Sequence[LabelledImage], categories: Categories) -> PackedImageLabels | None:
    """Classes of whole images; None where no image has any label of this kind."""
    if not any(image.image_labels is not None for image in images):
        return None
    label_of = categories.of_images.label_of_id
    shown = [
        None if image.image_labels is None else [label_of[number] for number in image.image_labels]
        for image in images
    ]
    return PackedImageLabels.of(shown, len(label_of))


def _area(one: LabelledObject) -> float:
    x0, y0, x1, y1 = one.box
    return (x1 - x0) * (y1 - y0) if one.rle is None else rle_area(one.rle)


def _bits(images: Sequence[LabelledImage]) -> Any:
    has = np.array([[kind in image.has for kind in LABEL_KINDS] for image in images], bool)
    return np.packbits(has, axis=1, bitorder="little")[:, 0]


def _keypoints(objects: Sequence[LabelledObject], most: int) -> Any:
    rows = [one.keypoints for one in objects if one.keypoints is not None]
    packed = np.zeros((len(rows), most, 3), np.float32)
    for out, row in zip(packed, rows, strict=True):
        out[: len(row)] = row
    return packed
