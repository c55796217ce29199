"""Data sets in COCO's layout: image folders beside annotation files, read into packed arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from pydantic import BaseModel, ConfigDict

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import LABEL_KINDS, SplitName
from mtvit_core.structures.categories import Categories
from mtvit_train.data.dense_maps import read_maps
from mtvit_train.data.formats.coco_file import CocoFile, Degenerate, ImageEntry, Instance, read_coco_file
from mtvit_train.data.formats.coco_merge import check_known, merge_categories, merge_images, merge_instances
from mtvit_train.data.formats.faults import STOP, Faults
from mtvit_train.data.formats.panoptic import find_panoptic
from mtvit_train.data.packed import Member, PackedAnnotations, annotated_of


class CocoConfig(BaseModel):
    """The config table ``[coco]``: names of a data set's files, and how strictly they are read.

    ``{split}`` in a name stands for the value of ``train`` or ``val``.

    Attributes:
        train: Name of the training split.
        val: Name of the validation split.
        images: Folder of a split's images, below the data folder.
        instances: File of boxes and masks, below the data folder; empty where there is none.
        keypoints: File of keypoints; empty where there is none, or where ``instances`` holds the keypoints
            too.
        maps: File that lists dense labels, below the data folder; a split without it has none.
        panoptic: File of panoptic annotations, for evaluation; a split without it has none.
        panoptic_maps: Folder of their PNG files.
        only: Ids of the images to use, of both splits; all where empty.
        degenerate: What happens to annotations that cover nothing: ``error``, or ``drop`` to leave them out,
            counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str = "train2017"
    val: str = "val2017"
    images: str = "{split}"
    instances: str = "annotations/instances_{split}.json"
    keypoints: str = "annotations/person_keypoints_{split}.json"
    maps: str = "annotations/maps_{split}.json"
    panoptic: str = "annotations/panoptic_{split}.json"
    panoptic_maps: str = "annotations/panoptic_{split}"
    only: tuple[int, ...] = ()
    degenerate: Degenerate = "error"

    def path(self, root: Path, name: str, split: SplitName) -> Path:
        """Return the path of a name (``images``, ``instances``, ``panoptic`` and so on) for a split."""
        return root / name.replace("{split}", self.train if split == "train" else self.val)


def read_coco(
    root: Path,
    split: SplitName,
    config: CocoConfig | None = None,
    categories: Categories | None = None,
    faults: Faults = STOP,
) -> PackedAnnotations:
    """Read the annotations of one split.

    What is labelled: images of the ``instances`` file have boxes, masks (if the file has segmentations) and
    keypoints (if its categories name any); images of the ``keypoints`` file have keypoints. With no
    ``instances`` file the ``keypoints`` file counts as one. An annotation that stands in both files is one
    instance; the keypoints file adds its keypoints, and must agree in image, category, box and crowd. An
    annotation in the keypoints file alone is an instance as well; if it has no mask, its image counts as not
    labelled for masks.

    Args:
        root: The data folder.
        split: Which split.
        config: File names; COCO 2017's by default.
        categories: Classes and their order where a checkpoint or the training split gives them; else those of
            the files, in the order of their ids.
        faults: What to do at what is malformed, missing or in conflict; what it concerns is left out.

    Raises:
        DataError: A file or folder is missing, malformed, or in conflict with another one.
    """
    config, root = config or CocoConfig(), Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder; check the path.")
    files = _read_files(root, split, config, faults)
    folder = config.path(root, config.images, split)
    images = _keep_only(merge_images(files, faults), config.only, files[0].path)
    _check_images_exist(folder, images, faults)
    own = merge_categories(files, faults)
    if categories is not None:
        check_known(own, categories, str(files[0].path))
    instances = [instance for instance in merge_instances(files, faults) if instance.image_id in images]
    file_names = [image.file_name for image in images.values()]
    maps = read_maps(root, config.path(root, config.maps, split), file_names)
    known = None if categories is None else annotated_of(categories, own)
    ids = {image.file_name: image.id for image in images.values()}
    listed, drawn = (config.path(root, name, split) for name in (config.panoptic, config.panoptic_maps))
    segments = find_panoptic(listed, drawn, ids, own)
    member = Member(root.name, folder, annotated=known, maps=maps, segments=segments)
    return _pack(member, files, list(images.values()), instances, categories or own)


def _keep_only(images: dict[int, ImageEntry], ids: Sequence[int], path: Path) -> dict[int, ImageEntry]:
    """Keep the images of these ids, all where there are none.

    Raises:
        DataError: An id is not in the file.
    """
    missing = sorted(set(ids) - images.keys())
    if missing:
        raise DataError(
            f"{path}: coco.only names image {missing[0]}, none of the {len(images)} images here; correct it."
        )
    return {id_: image for id_, image in images.items() if id_ in ids or not ids}


def _read_files(root: Path, split: SplitName, config: CocoConfig, faults: Faults) -> list[CocoFile]:
    files: list[CocoFile] = []
    fields = {"instances": config.instances, "keypoints": config.keypoints}
    named = [(field, name) for field, name in fields.items() if name]
    if not named:
        raise DataError(
            "coco.instances and coco.keypoints are both empty; name at least one annotation file."
        )
    for field, name in named:
        path = config.path(root, name, split)
        with faults:
            if not path.is_file():
                there = sorted(p.name for p in path.parent.glob("*.json")) if path.parent.is_dir() else []
                raise DataError(
                    f"{path}: no such annotation file; its folder has "
                    f"{', '.join(there[:8]) or 'no JSON files'}. "
                    f'Name it with coco.{field}, or set coco.{field}="" if there is none.'
                )
            known = files[0].instances.keys() | files[0].dropped if files else set[int]()
            files.append(read_coco_file(path, config.degenerate, known, faults))
    if not files:
        raise DataError(f"{root}: no annotation file of the {split} split can be read; fix them first.")
    return files


def _check_images_exist(folder: Path, images: dict[int, ImageEntry], faults: Faults) -> None:
    """Look for every image file; where a fault is noted, the image is left out."""
    if not folder.is_dir():
        above = folder.parent
        there = sorted(p.name for p in above.iterdir() if p.is_dir()) if above.is_dir() else []
        raise DataError(
            f"{folder}: no such image folder; its parent has {', '.join(there[:8]) or 'no folders'}. "
            f"Name it with coco.images."
        )
    parents = {(folder / image.file_name).parent for image in images.values()}
    there_files = {path for parent in parents if parent.is_dir() for path in parent.iterdir()}
    missing = [image for image in images.values() if folder / image.file_name not in there_files]
    number = len(images)
    for image in missing:
        with faults:
            raise DataError(
                f"{folder / image.file_name}: no such image file, though image {image.id} names it "
                f"({len(missing)} of {number} images are missing); add the files or remove their entries."
            )
        del images[image.id]


def _pack(
    member: Member,
    files: Sequence[CocoFile],
    images: Sequence[ImageEntry],
    instances: Sequence[Instance],
    categories: Categories,
) -> PackedAnnotations:
    position = {image.id: place for place, image in enumerate(images)}
    instances = sorted(instances, key=lambda instance: position[instance.image_id])
    counts = np.bincount([position[i.image_id] for i in instances], minlength=len(images))
    pointed = np.array([i.keypoints is not None for i in instances], bool)
    masks = [b"" if i.rle is None else i.rle.counts.encode("ascii") for i in instances]
    xywh = np.array([i.bbox for i in instances], np.float64).reshape(-1, 4)
    return PackedAnnotations(
        categories=categories,
        members=(member,),
        file_names=np.array([image.file_name.encode() for image in images]),
        image_ids=np.array([image.id for image in images], np.int64),
        sizes=np.array([(image.height, image.width) for image in images], np.int32),
        has=_pack_has(files, images, {i.image_id for i in instances if i.rle is None}),
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1).astype(np.float32),
        labels=np.array([categories.label_of_id[i.category_id] for i in instances], np.int32),
        ids=np.array([i.id for i in instances], np.int64),
        areas=np.array([i.area for i in instances], np.float32),
        crowd=np.array([i.crowd for i in instances], bool),
        keypoint_rows=np.where(pointed, np.cumsum(pointed) - 1, -1).astype(np.int32),
        keypoints=_pack_keypoints([i.keypoints for i in instances if i.keypoints], categories.max_keypoints),
        mask_first=np.concatenate([[0], np.cumsum([len(mask) for mask in masks])]).astype(np.int64),
        mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
        dropped=len(set[int]().union(*(file.dropped for file in files))),
    )


def _pack_has(
    files: Sequence[CocoFile], images: Sequence[ImageEntry], maskless: set[int]
) -> UInt8[ndarray, " I"]:
    """Bits of the kinds labelled in each image; ``maskless`` images hold an instance without a mask."""
    first = files[0]
    has = np.zeros((len(images), len(LABEL_KINDS)), bool)
    for place, image in enumerate(images):
        boxes = image.id in first.images
        masks = boxes and first.masked and image.id not in maskless
        keypoints = any(file.has_keypoints and image.id in file.images for file in files)
        has[place] = [boxes, masks, keypoints]
    return np.packbits(has, axis=1, bitorder="little")[:, 0]


def _pack_keypoints(rows: Sequence[tuple[float, ...]], most: int) -> Float32[ndarray, "P K 3"]:
    packed = np.zeros((len(rows), most, 3), np.float32)
    for out, row in zip(packed, rows, strict=True):
        out[: len(row) // 3] = np.array(row, np.float32).reshape(-1, 3)
    return packed
