"""Checked entries of annotation files as packed arrays."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_core.structures.categories import Categories
from mtvit_train.data.formats.coco_file import CocoFile, Instance
from mtvit_train.data.formats.documents.image_entries import ImageEntry
from mtvit_train.data.packed import Member, PackedAnnotations


def judged_bits(images: Sequence[ImageEntry], categories: Categories) -> UInt8[ndarray, "I bytes"] | None:
    """Bits of the categories annotated in each image; None where these are all in each."""
    if all(image.annotated is None for image in images):
        return None
    known = np.ones((len(images), len(categories)), bool)
    for row, image in zip(known, images, strict=True):
        if image.annotated is not None:
            row[:] = [category.id in image.annotated for category in categories]
    return np.packbits(known, axis=1)


def pack(
    member: Member,
    files: Sequence[CocoFile],
    images: Sequence[ImageEntry],
    instances: Sequence[Instance],
    categories: Categories,
) -> PackedAnnotations:
    """Pack one split of one data set.

    Args:
        member: The data set.
        files: Its annotation files.
        images: Its images, in their order.
        instances: Their annotations, in any order.
        categories: Classes that labels index.
    """
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
        notes=tuple(note for file in files for note in file.notes),
        unmasked=len(set[int]().union(*(file.unmasked for file in files))),
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
    """Bits of the kinds labelled in each image.

    ``maskless`` images hold an instance without a mask. An image that lost an annotation has no kind: what is
    left would teach that nothing is where the annotation was.
    """
    first = files[0]
    lost = {image_id for file in files for image_id in file.dropped.values()}
    has = np.zeros((len(images), len(LABEL_KINDS)), bool)
    for place, image in enumerate(images):
        boxes = first.objects and image.id in first.images
        masks = boxes and first.masked and image.id not in maskless
        keypoints = any(file.has_keypoints and image.id in file.images for file in files)
        has[place] = [boxes, masks, keypoints] if image.id not in lost else False
    return np.packbits(has, axis=1, bitorder="little")[:, 0]


def _pack_keypoints(rows: Sequence[tuple[float, ...]], most: int) -> Float32[ndarray, "P K 3"]:
    packed = np.zeros((len(rows), most, 3), np.float32)
    for out, row in zip(packed, rows, strict=True):
        out[: len(row) // 3] = np.array(row, np.float32).reshape(-1, 3)
    return packed
