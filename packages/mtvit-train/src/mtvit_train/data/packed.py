"""The annotations of a whole split as packed arrays: little memory, quick to share with loader processes."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64, Shaped, UInt8
from numpy import ndarray
from torch import Tensor

from mtvit_core.structures.annotations import (
    IMAGE_LABELS,
    LABEL_KINDS,
    Annotations,
    TrueImageLabels,
    TrueSegments,
)
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.masks import Rle, decode_rle
from mtvit_train.data.dense_maps import PackedMaps
from mtvit_train.data.image_labels import PackedImageLabels
from mtvit_train.data.segment_files import SegmentFiles

#: Every kind of label, for callers that need them all.
ALL_KINDS = frozenset(LABEL_KINDS)


#: What a data set is asked for: epoch and index of the image.
Key = tuple[int, int]


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        path: The image file.
        file_name: Its name as the annotation files give it.
        image_id: Its id in the annotation files.
        height: Rows, as the annotation files state them.
        width: Columns.
        has: Which of ``LABEL_KINDS`` are labelled, whether ``IMAGE_LABELS`` are, and which dense labels.
    """

    path: Path
    file_name: str
    image_id: int
    height: int
    width: int
    has: frozenset[str]


@dataclass(frozen=True, eq=False)
class Member:
    """One of the data sets that a split is made of; its images follow each other.

    Attributes:
        name: What the run calls it.
        folder: Where its image files lie.
        first: Index of its first image in the split.
        annotated: Which categories are annotated in its images; None where all are.
        judged: The same for each of its images, a bit a category, where images differ (LVIS); None where they
            do not.
        maps: Dense labels by name, of its images.
        segments: What every pixel of its images belongs to; None where it does not say.
        image_labels: Classes of its whole images; None where it does not say.
    """

    name: str
    folder: Path
    first: int = 0
    annotated: Bool[ndarray, " C"] | None = None
    judged: UInt8[ndarray, "I bytes"] | None = None
    maps: Mapping[str, PackedMaps] = field(default_factory=dict)
    segments: SegmentFiles | None = None
    image_labels: PackedImageLabels | None = None

    def has(self, index: int) -> set[str]:
        """Return the kinds of label that its image ``index`` has, beside those of objects."""
        found = {name for name, maps in self.maps.items() if maps.there[index]}
        labelled = self.image_labels is not None and bool(self.image_labels.there[index])
        return found | {IMAGE_LABELS} if labelled else found

    def there(self, name: str, size: int) -> Bool[ndarray, " I"]:
        """Tell which of its images have a label of this name; ``size`` is their number."""
        found = self.image_labels if name == IMAGE_LABELS else self.maps.get(name)
        return np.zeros(size, bool) if found is None else found.there


def annotated_of(categories: Categories, listed: Categories) -> Bool[ndarray, " C"] | None:
    """Tell which categories a data set annotates: those that it lists; None where these are all."""
    known = np.array([category.id in listed.label_of_id for category in categories], bool)
    return None if known.all() else known


@dataclass(frozen=True, eq=False)
class PackedAnnotations:
    """The images and annotations of one split; I images, M instances, P of them with keypoints.

    Attributes:
        categories: Classes that ``labels`` index.
        members: The data sets it is made of, at least one.
        file_names: Paths of the images below the folder of their data set, as UTF-8 bytes.
        image_ids: Ids of the images.
        sizes: Rows and columns of the images.
        has: The kinds of ``LABEL_KINDS`` labelled in each image, one bit a kind, the first kind lowest.
        first: Instances of image i are rows ``first[i]`` up to ``first[i + 1]``.
        boxes: Corners x0 y0 x1 y1 in pixels of the original image, as annotated (not clipped).
        labels: Category of each instance.
        ids: Annotation ids.
        areas: Areas as annotated, in square pixels.
        crowd: Whether an instance stands for a group.
        keypoint_rows: Row of ``keypoints``, -1 where an instance has no labelled keypoint.
        keypoints: x, y, visibility, padded with zeros to the most keypoints of a category.
        mask_first: The mask of instance m is bytes ``mask_first[m]`` up to ``mask_first[m + 1]``; no bytes:
            no mask.
        mask_bytes: COCO's compressed run lengths, one mask after the other.
        dropped: How many annotations were left out as degenerate; their images have no kind of label.
        unmasked: How many masks were left out as degenerate.
        layout: What is said of the layout that was found; empty where it is COCO 2017's or the settings'.
        notes: What was read otherwise than it is written, a line each.
    """

    categories: Categories
    members: tuple[Member, ...]
    file_names: Shaped[ndarray, " I"]
    image_ids: Int64[ndarray, " I"]
    sizes: Int32[ndarray, "I 2"]
    has: UInt8[ndarray, " I"]
    first: Int64[ndarray, " I+1"]
    boxes: Float32[ndarray, "M 4"]
    labels: Int32[ndarray, " M"]
    ids: Int64[ndarray, " M"]
    areas: Float32[ndarray, " M"]
    crowd: Bool[ndarray, " M"]
    keypoint_rows: Int32[ndarray, " M"]
    keypoints: Float32[ndarray, "P K 3"]
    mask_first: Int64[ndarray, " M+1"]
    mask_bytes: UInt8[ndarray, " bytes"]
    dropped: int = 0
    unmasked: int = 0
    layout: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_ids)

    @property
    def instances(self) -> int:
        """Number of annotated instances, crowds included."""
        return len(self.ids)

    @property
    def folder(self) -> Path:
        """Where the images of the first data set lie; names the split in messages."""
        return self.members[0].folder

    @property
    def sizes_of_members(self) -> tuple[int, ...]:
        """Number of images of each data set."""
        firsts = [member.first for member in self.members]
        return tuple(b - a for a, b in pairwise([*firsts, len(self)]))

    def member(self, index: int) -> Member:
        """Return the data set of image ``index``."""
        return self.members[bisect_right(self.members, index, key=lambda member: member.first) - 1]

    def annotated(self, index: int) -> Bool[Tensor, " C"] | None:
        """Return which categories are annotated in image ``index``; None where all are."""
        member = self.member(index)
        known = member.annotated
        if member.judged is not None:
            bits = np.unpackbits(member.judged[index - member.first], count=len(self.categories)) > 0
            known = bits if known is None else known & bits
        return None if known is None else torch.from_numpy(known.copy())

    def mapped(self, name: str) -> Bool[ndarray, " I"]:
        """Tell which images have a dense label, or ``IMAGE_LABELS``."""
        parts = [
            member.there(name, size) for member, size in zip(self.members, self.sizes_of_members, strict=True)
        ]
        return np.concatenate(parts)

    @property
    def bytes_per_instance(self) -> float:
        """Memory of everything that grows with the instances, divided by their number."""
        arrays = (
            self.boxes, self.labels, self.ids, self.areas, self.crowd,
            self.keypoint_rows, self.keypoints, self.mask_first, self.mask_bytes,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays) / max(1, self.instances)

    @cached_property
    def index_of_id(self) -> dict[int, int]:
        """Index of each image id."""
        return {int(image_id): index for index, image_id in enumerate(self.image_ids)}

    def image(self, index: int) -> ImageRecord:
        """Return what is known about image ``index``."""
        bits, name, member = int(self.has[index]), self.file_names[index].decode(), self.member(index)
        return ImageRecord(
            path=member.folder / name,
            file_name=name,
            image_id=int(self.image_ids[index]),
            height=int(self.sizes[index, 0]),
            width=int(self.sizes[index, 1]),
            has=frozenset(kind for bit, kind in enumerate(LABEL_KINDS) if bits >> bit & 1)
            | member.has(index - member.first),
        )

    def meta(self, index: int) -> ImageMeta:
        """Return image ``index`` as its own canvas: original pixels, nothing to map back."""
        record = self.image(index)
        size = (record.height, record.width)
        return ImageMeta(*size, size, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), record.image_id, record.file_name)

    def rows(self, index: int) -> slice:
        """Return the rows of the instances of image ``index``."""
        return slice(int(self.first[index]), int(self.first[index + 1]))

    def rle(self, row: int, index: int) -> Rle | None:
        """Return the mask of instance ``row`` of image ``index`` in run lengths, None where it has none."""
        counts = self.mask_bytes[self.mask_first[row] : self.mask_first[row + 1]]
        height, width = self.sizes[index].tolist()
        return Rle((height, width), counts.tobytes().decode("ascii")) if len(counts) else None

    def points(self, rows: slice) -> Float32[ndarray, "M K 3"]:
        """Return the keypoints of instances; zeros for those without."""
        index = self.keypoint_rows[rows]
        points = np.zeros((len(index), *self.keypoints.shape[1:]), np.float32)
        points[index >= 0] = self.keypoints[index[index >= 0]]
        return points

    def dense(self, index: int, needs: Set[str]) -> dict[str, Float32[ndarray, "*planes H W"]]:
        """Read the wanted dense labels of image ``index``.

        Raises:
            DataError: a file is not readable, or does not fit its image.
        """
        record, maps = self.image(index), self.member(index).maps
        size = (record.height, record.width)
        return {n: maps[n].read(record.file_name, size) for n in sorted(record.has & needs & {*maps})}

    def segments(self, index: int) -> TrueSegments | None:
        """Return what every pixel of image ``index`` belongs to; None where its data set does not say.

        Raises:
            DataError: a file is missing or malformed.
        """
        record, files = self.image(index), self.member(index).segments
        size = (record.height, record.width)
        return None if files is None else files.read(record.file_name, size, self.categories)

    def image_labels(self, index: int) -> TrueImageLabels | None:
        """Return the classes of the whole image ``index``; None where they are not labelled."""
        member = self.member(index)
        if member.image_labels is None or IMAGE_LABELS not in member.has(index - member.first):
            return None
        return member.image_labels.read(index - member.first)

    def check_segments(self) -> None:
        """Look for the files of segments of all images.

        Raises:
            DataError: a file is missing or malformed.
        """
        for member, size in zip(self.members, self.sizes_of_members, strict=True):
            if member.segments is not None:
                names = self.file_names[member.first : member.first + size]
                member.segments.check([name.decode() for name in names])

    def original(self, index: int, needs: Set[str] = ALL_KINDS) -> Annotations:
        """Return the annotations of image ``index`` in pixels of the original image, as annotated.

        Args:
            index: Position of the image in this split.
            needs: Kinds of label wanted; masks are decoded, and ``segments`` read, only if they are among
                them.
        """
        rows, record = self.rows(index), self.image(index)
        has = record.has & needs
        masks = (
            [decode_rle(rle) for row in range(rows.start, rows.stop) if (rle := self.rle(row, index))]
            if "masks" in has
            else []
        )
        empty = np.zeros((0, record.height, record.width), bool)
        return Annotations(
            boxes=torch.from_numpy(self.boxes[rows].copy()),
            labels=torch.from_numpy(self.labels[rows].astype(np.int64)),
            masks=torch.from_numpy(np.stack(masks) if masks else empty) if "masks" in has else None,
            keypoints=torch.from_numpy(self.points(rows)) if "keypoints" in has else None,
            is_crowd=torch.from_numpy(self.crowd[rows].copy()),
            areas=torch.from_numpy(self.areas[rows].copy()),
            ids=torch.from_numpy(self.ids[rows].copy()),
            has=has,
            maps={name: torch.from_numpy(values) for name, values in self.dense(index, needs).items()},
            annotated=self.annotated(index),
            segments=self.segments(index) if "segments" in needs else None,
            image_labels=self.image_labels(index) if IMAGE_LABELS in has else None,
        )


def sizes_by(firsts: Sequence[int], images: Int64[ndarray, " samples"]) -> tuple[int, ...]:
    """Count samples by data set.

    Args:
        firsts: First image of each data set.
        images: Image of each sample, rising.
    """
    bounds = [*np.searchsorted(images, firsts), len(images)]
    return tuple(np.diff(bounds).tolist())
