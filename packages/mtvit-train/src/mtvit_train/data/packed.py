"""The annotations of a whole split as packed arrays: little memory, quick to share with loader processes."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64, Shaped, UInt8
from numpy import ndarray

from mtvit_core.annotations import LABEL_KINDS, Annotations
from mtvit_core.categories import Categories
from mtvit_core.geometry import ImageMeta
from mtvit_core.masks import Rle, decode_rle
from mtvit_train.data.maps import PackedMaps

#: Every kind of label, for callers that need them all.
ALL_KINDS = frozenset(LABEL_KINDS)


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    Attributes:
        path: The image file.
        file_name: Its name as the annotation files give it.
        image_id: Its id in the annotation files.
        height: Rows, as the annotation files state them.
        width: Columns.
        has: Which of ``LABEL_KINDS`` are labelled, and which dense labels.
    """

    path: Path
    file_name: str
    image_id: int
    height: int
    width: int
    has: frozenset[str]


@dataclass(frozen=True, eq=False)
class PackedAnnotations:
    """The images and annotations of one split; I images, M instances, P of them with keypoints.

    Attributes:
        categories: Classes that ``labels`` index.
        folder: Where the image files lie.
        file_names: Paths of the images below ``folder``, as UTF-8 bytes.
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
        dropped: How many annotations were left out as degenerate.
        maps: Dense labels by name.
    """

    categories: Categories
    folder: Path
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
    maps: Mapping[str, PackedMaps] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_ids)

    @property
    def instances(self) -> int:
        """Number of annotated instances, crowds included."""
        return len(self.ids)

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
        bits, name = int(self.has[index]), self.file_names[index].decode()
        return ImageRecord(
            path=self.folder / name,
            file_name=name,
            image_id=int(self.image_ids[index]),
            height=int(self.sizes[index, 0]),
            width=int(self.sizes[index, 1]),
            has=frozenset(kind for bit, kind in enumerate(LABEL_KINDS) if bits >> bit & 1)
            | {name for name, maps in self.maps.items() if maps.there[index]},
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

    def dense(self, index: int, needs: Set[str]) -> dict[str, Float32[ndarray, "H W"]]:
        """Read the wanted dense labels of image ``index``.

        Raises:
            DataError: a file is not readable, or does not fit its image.
        """
        record = self.image(index)
        size = (record.height, record.width)
        return {
            n: self.maps[n].read(record.file_name, size) for n in sorted(record.has & needs & {*self.maps})
        }

    def original(self, index: int, needs: Set[str] = ALL_KINDS) -> Annotations:
        """Return the annotations of image ``index`` in pixels of the original image, as annotated.

        Args:
            index: Position of the image in this split.
            needs: Kinds of label wanted; masks are decoded only if they are among them.
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
        )
