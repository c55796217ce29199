"""Data sets in COCO's layout: image folders beside annotation files, merged by image id and annotation id."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from mtvit_core.annotations import LABEL_KINDS
from mtvit_core.categories import Categories, Category
from mtvit_core.errors import DataError, did_you_mean
from mtvit_train.data.coco_file import CocoFile, Degenerate, ImageEntry, Instance, read_coco_file
from mtvit_train.data.packed import PackedAnnotations

Split = Literal["train", "val"]


class CocoConfig(BaseModel):
    """The names of a data set's files, and how strictly they are read.

    ``{split}`` in a name stands for the value of ``train`` or ``val``.

    Attributes:
        train: Name of the training split.
        val: Name of the validation split.
        images: Folder of a split's images, below the data folder.
        instances: File of boxes and masks, below the data folder; empty where there is none.
        keypoints: File of keypoints; empty where there is none, or where ``instances`` holds the keypoints
            too.
        degenerate: What happens to annotations that cover nothing: ``error``, or ``drop`` to leave them out,
            counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str = "train2017"
    val: str = "val2017"
    images: str = "{split}"
    instances: str = "annotations/instances_{split}.json"
    keypoints: str = "annotations/person_keypoints_{split}.json"
    degenerate: Degenerate = "error"

    def path(self, root: Path, name: str, split: Split) -> Path:
        """Return the path of ``images``, ``instances`` or ``keypoints`` of a split."""
        return root / name.replace("{split}", self.train if split == "train" else self.val)


def read_coco(
    root: Path, split: Split, config: CocoConfig | None = None, categories: Categories | None = None
) -> PackedAnnotations:
    """Read the annotations of one split.

    What is labelled: images of the ``instances`` file have boxes, masks (if the file has segmentations) and
    keypoints (if its categories have any); images of the ``keypoints`` file have keypoints. With no
    ``instances`` file the ``keypoints`` file counts as one. An annotation that stands in both files is one
    instance; the keypoints file adds its keypoints, and must agree in image, category, box and crowd. An
    annotation in the keypoints file alone is an instance as well; if it has no mask, its image counts as not
    labelled for masks.

    Args:
        root: The data folder.
        split: Which split.
        config: File names; COCO 2017's by default.
        categories: Classes and their order, where they are given by a checkpoint or the training split; the
            files' own, by id, where not.

    Raises:
        DataError: A file or folder is missing, malformed, or in conflict with another one.
    """
    config = config or CocoConfig()
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder; check the path.")
    files = _read_files(root, split, config)
    folder = config.path(root, config.images, split)
    images = _merge_images(files)
    _check_images_exist(folder, images)
    classes = _merge_categories(files)
    if categories is not None:
        _check_categories(classes, categories, files)
    dropped = set().union(*(file.dropped for file in files))
    instances = [i for i in _merge_instances(files) if i.id not in dropped]
    return _pack(folder, files, images, instances, categories or classes, len(dropped))


def _read_files(root: Path, split: Split, config: CocoConfig) -> list[CocoFile]:
    files: list[CocoFile] = []
    for field, name in (("instances", config.instances), ("keypoints", config.keypoints)):
        if not name:
            continue
        path = config.path(root, name, split)
        if not path.is_file():
            there = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
            nearby = (
                f"the folder holds {', '.join(there[:8])}" if there else f"{path.parent} holds no JSON file"
            )
            raise DataError(
                f"{path}: no such annotation file; {nearby}. Name it with data.{field}, or set data.{field} to an "
                f"empty text if there is none."
            )
        known = files[0].instances.keys() | files[0].dropped if files else frozenset[int]()
        files.append(read_coco_file(path, config.degenerate, known))
    if not files:
        raise DataError(
            "data.instances and data.keypoints are both empty; name at least one annotation file."
        )
    return files


def _merge_images(files: list[CocoFile]) -> dict[int, ImageEntry]:
    images: dict[int, ImageEntry] = {}
    for file in files:
        for number, image in file.images.items():
            first = images.setdefault(number, image)
            if first != image:
                raise DataError(
                    f"{file.path}: image {number} is {image.file_name} of {image.width} x {image.height} pixels, but "
                    f"{files[0].path.name} says {first.file_name} of {first.width} x {first.height}; they must agree."
                )
    names: dict[str, int] = {}
    for number, image in images.items():
        other = names.setdefault(image.file_name, number)
        if other != number:
            raise DataError(
                f"{files[-1].path}: file name {image.file_name!r} belongs to image {number} here and to image {other} "
                f"in {files[0].path.name}; each image needs its own."
            )
    return images


def _merge_categories(files: list[CocoFile]) -> Categories:
    merged: dict[int, Category] = {}
    for file in files:
        for number, category in file.categories.items():
            first = merged.setdefault(number, category)
            if first.name != category.name:
                raise DataError(
                    f"{file.path}: category {number} is called {category.name!r}, but {files[0].path.name} calls it "
                    f"{first.name!r}; they must agree."
                )
            if first.keypoints and category.keypoints and first.keypoints != category.keypoints:
                raise DataError(
                    f"{file.path}: the keypoints of category {category.name!r} differ from those in "
                    f"{files[0].path.name}; they must agree."
                )
            merged[number] = replace(first, keypoints=first.keypoints or category.keypoints)
    return Categories(tuple(merged[number] for number in sorted(merged)))


def _check_categories(found: Categories, wanted: Categories, files: list[CocoFile]) -> None:
    """Every category of the files must be one of those wanted; some may be missing in the files."""
    by_id = {category.id: category for category in wanted}
    path = files[0].path
    for category in found:
        known = by_id.get(category.id)
        if known is None or known.name != category.name:
            expected = "is not known" if known is None else f"should be called {known.name!r}"
            raise DataError(
                f"{path}: category {category.id} ({category.name!r}) {expected}; the model knows "
                f"{len(wanted)} categories by id and name."
                f"{did_you_mean(category.name, (c.name for c in wanted))}"
            )
        if category.keypoints and (
            known.keypoints is None or known.keypoints.names != category.keypoints.names
        ):
            raise DataError(
                f"{path}: the keypoints of category {category.name!r} are not those the model knows; "
                f"names and order must agree."
            )


def _merge_instances(files: list[CocoFile]) -> list[Instance]:
    merged = dict(files[0].instances)
    for file in files[1:]:
        for number, instance in file.instances.items():
            first = merged.get(number)
            if first is None:
                merged[number] = instance
                continue
            _check_agree(first, instance, file.path, files[0].path.name)
            merged[number] = replace(first, keypoints=first.keypoints or instance.keypoints)
    return list(merged.values())


def _check_agree(first: Instance, other: Instance, path: Path, first_name: str) -> None:
    for what, a, b in (
        ("image_id", first.image_id, other.image_id),
        ("category_id", first.category_id, other.category_id),
        ("iscrowd", int(first.crowd), int(other.crowd)),
    ):
        if a != b:
            raise DataError(
                f"{path}: annotation {first.id} has {what} {b}, but {first_name} says {a}; they must agree."
            )
    # Both files may have rounded the box.
    if max(abs(a - b) for a, b in zip(first.bbox, other.bbox, strict=True)) > 0.02:
        raise DataError(
            f"{path}: annotation {first.id} has bbox {list(other.bbox)}, but {first_name} says {list(first.bbox)}; "
            f"they must agree."
        )


def _check_images_exist(folder: Path, images: dict[int, ImageEntry]) -> None:
    if not folder.is_dir():
        there = (
            sorted(p.name for p in folder.parent.iterdir() if p.is_dir()) if folder.parent.is_dir() else []
        )
        raise DataError(
            f"{folder}: no such image folder; {folder.parent} holds {', '.join(there[:8]) or 'no folder'}. "
            f"Name it with data.images."
        )
    parents = {(folder / image.file_name).parent for image in images.values()}
    there_files = {path for parent in parents if parent.is_dir() for path in parent.iterdir()}
    missing = [image for image in images.values() if folder / image.file_name not in there_files]
    if missing:
        raise DataError(
            f"{folder / missing[0].file_name}: no such image file, though image {missing[0].id} names it "
            f"({len(missing)} of {len(images)} images are missing); add the files or remove their entries."
        )


def _has(files: list[CocoFile], image_id: int, masks_complete: bool) -> int:
    kinds = set()
    for place, file in enumerate(files):
        if image_id in file.images:
            kinds |= {"boxes"} if place == 0 else set()
            kinds |= {"masks"} if place == 0 and file.masked and masks_complete else set()
            kinds |= {"keypoints"} if file.has_keypoints else set()
    return sum(1 << bit for bit, kind in enumerate(LABEL_KINDS) if kind in kinds)


def _pack(
    folder: Path,
    files: list[CocoFile],
    images: dict[int, ImageEntry],
    instances: list[Instance],
    categories: Categories,
    dropped: int,
) -> PackedAnnotations:
    position = {number: place for place, number in enumerate(images)}
    instances = sorted(instances, key=lambda instance: position[instance.image_id])
    counts = np.bincount([position[i.image_id] for i in instances], minlength=len(images))
    maskless = {i.image_id for i in instances if i.rle is None}
    with_points = [i for i in instances if i.keypoints]
    points = np.zeros((len(with_points), categories.max_keypoints, 3), np.float32)
    for row, instance in enumerate(with_points):
        flat = np.array(instance.keypoints, np.float32).reshape(-1, 3)
        points[row, : len(flat)] = flat
    labelled = np.array([bool(i.keypoints) for i in instances], bool)
    masks = [i.rle.counts.encode("ascii") if i.rle else b"" for i in instances]
    xywh = np.array([i.bbox for i in instances], np.float64).reshape(-1, 4)
    return PackedAnnotations(
        categories=categories,
        folder=folder,
        file_names=np.array([image.file_name.encode() for image in images.values()]),
        image_ids=np.array(list(images), np.int64),
        sizes=np.array([(image.height, image.width) for image in images.values()], np.int32),
        has=np.array([_has(files, number, number not in maskless) for number in images], np.uint8),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1).astype(np.float32),
        labels=np.array([categories.label_of_id[i.category_id] for i in instances], np.int32),
        ids=np.array([i.id for i in instances], np.int64),
        areas=np.array([i.area for i in instances], np.float32),
        crowd=np.array([i.crowd for i in instances], bool),
        keypoint_rows=np.where(labelled, np.cumsum(labelled) - 1, -1).astype(np.int32),
        keypoints=points,
        mask_first=np.concatenate([[0], np.cumsum([len(m) for m in masks])]).astype(np.int64),
        mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
        dropped=dropped,
    )
