"""Samples for top-down tasks: one crop per annotated person, the same for a key wherever it is loaded."""

from collections.abc import Sequence, Set
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from torch.utils.data import Dataset

from mtvit_core.errors import DataError
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.canvases.crops import CropRule, crop_person, person_roi, points_to_crop
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_core.structures.image_files import MAX_PIXELS
from mtvit_train.data.packed import ALL_KINDS, Key, PackedAnnotations, sizes_by
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.samples.colour import jitter_colour
from mtvit_train.data.samples.images import ImageDataset, Sample
from mtvit_train.data.samples.person_augment import Box, draw_roi, mirrored
from mtvit_train.data.samples.plugin_transforms import change

# Keeps the streams of random numbers for crops apart from those for order and whole images.
_PERSON_STREAM = 3


class PersonDataset(Dataset[Sample]):
    """The people of one split with at least one labelled keypoint, each on a crop of its own.

    Where a teacher looks at the crops, people without a labelled keypoint are shown too, and carry none.
    Crowds and people whose box lies outside their image are left out. Crops of one image follow each other.
    """

    def __init__(
        self,
        packed: PackedAnnotations,
        canvas: Letterbox,
        *,
        needs: Set[str] = ALL_KINDS,
        augment: AugmentConfig = NO_AUGMENT,
        crop: CropRule = "udp",
        taught: bool = False,
        seed: int = 0,
        cache_bytes: int = 0,
        max_pixels: int = MAX_PIXELS,
        transforms: Sequence[Transform[Any]] = (),
    ) -> None:
        """Find the people.

        Args:
            packed: Images and annotations.
            canvas: Rows and columns of a crop.
            needs: Kinds of label that some task reads; masks are never given for crops.
            augment: Random changes; of its settings ``hflip`` and those of colour apply, the others are
                ViTPose's own for crops.
            crop: How crops lie around a box.
            taught: Whether a teacher looks at the crops.
            seed: Number of the run.
            cache_bytes: Decoded images are kept in memory up to this many bytes, in each loader process.
            max_pixels: Most pixels an image file may have.
            transforms: Further changes, by plugins.

        Raises:
            DataError: nobody has a labelled keypoint.
        """
        self.packed, self.canvas, self.needs = packed, (canvas.height, canvas.width), frozenset(needs)
        self.augment, self.crop, self.seed, self.transforms = augment, crop, seed, tuple(transforms)
        self.images = ImageDataset(packed, canvas, cache_bytes=cache_bytes, max_pixels=max_pixels)
        self.boxes = _clean_boxes(packed, crop)
        self.rows = np.flatnonzero(_usable(packed, self.boxes, taught))
        if not len(self.rows):
            raise DataError(
                f"{packed.folder}: no person with a labelled keypoint, so there is nothing to crop; check "
                "the keypoint annotations, or leave tasks that see one person at a time out of the run."
            )

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.rows)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of people of each data set."""
        return self._by_member(self.rows)

    @property
    def labelled_sizes(self) -> tuple[int, ...]:
        """Number of people of each data set who have a labelled keypoint."""
        return self._by_member(self.rows[self.packed.keypoint_rows[self.rows] >= 0])

    def _by_member(self, rows: Int64[ndarray, " samples"]) -> tuple[int, ...]:
        images = np.searchsorted(self.packed.first, rows, side="right") - 1
        return sizes_by([member.first for member in self.packed.members], images)

    def __getitem__(self, key: Key) -> Sample:
        """Load one sample.

        Args:
            key: Epoch, and index of the person.

        Raises:
            DataError: the image cannot be read, or is not of the size that the annotations state.
        """
        row, image = int(self.rows[key[1]]), self.image_of(key[1])
        rng, meta, flipped = self._drawn(key)
        crop = crop_person(self.images.image(image), meta, self.canvas)
        coloured, person = (
            jitter_colour(rng, self.augment, crop),
            self._annotations(row, image, meta, flipped),
        )
        return Sample(*change(self.transforms, coloured, person, self.seed, key), meta)

    def unseen(self, key: Key) -> Sample:
        """Return the same sample with a black crop, without reading the image or asking transforms."""
        row, image = int(self.rows[key[1]]), self.image_of(key[1])
        _, meta, flipped = self._drawn(key)
        blank = torch.zeros(3, *self.canvas, dtype=torch.uint8)
        return Sample(blank, self._annotations(row, image, meta, flipped), meta)

    def _drawn(self, key: Key) -> tuple[np.random.Generator, ImageMeta, bool]:
        """Draw the crop of a sample; return what draws its colours, too."""
        epoch, index = key
        rng = np.random.default_rng([_PERSON_STREAM, self.seed, epoch, index])
        return rng, *self._place(rng, int(self.rows[index]), self.image_of(index))

    def image_of(self, index: int) -> int:
        """Return the place of the image that a person is in."""
        return int(np.searchsorted(self.packed.first, self.rows[index], side="right")) - 1

    def _place(self, rng: np.random.Generator, row: int, image: int) -> tuple[ImageMeta, bool]:
        """Draw where the crop lies, and whether it is mirrored."""
        x0, y0, x1, y1 = self.boxes[row].tolist()
        box: Box = (x0, y0, x1, y1)
        schema = self.packed.categories[int(self.packed.labels[row])].keypoints
        assert schema is not None
        flip = bool(rng.random() < self.augment.hflip and schema.flip_pairs)
        roi = draw_roi(rng, box, self._points(row), schema, self.canvas, self.crop)
        if not self.augment.enabled:
            roi, flip = person_roi(box, self.canvas, rule=self.crop), False
        to_original = roi.to_original(self.canvas)
        record = self.packed.image(image)
        return ImageMeta(
            height=record.height,
            width=record.width,
            content=self.canvas,
            to_original=mirrored(to_original, self.canvas) if flip else to_original,
            image_id=record.image_id,
            file_name=record.file_name,
            box=box,
        ), flip

    def _annotations(self, row: int, image: int, meta: ImageMeta, flipped: bool) -> Annotations:
        """Return the person alone, in crop pixels; keypoints outside of the crop keep their label."""
        label = int(self.packed.labels[row])
        schema = self.packed.categories[label].keypoints
        assert schema is not None
        keypoints = torch.from_numpy(self._points(row))
        if flipped:
            keypoints[: len(schema.names)] = keypoints[list(schema.flip_order)]
        points = points_to_crop(keypoints[:, :2], meta)
        keypoints = torch.cat([points, keypoints[:, 2:]], 1) * (keypoints[:, 2:] > 0)
        posed = bool(self.packed.keypoint_rows[row] >= 0)
        box = torch.from_numpy(self.boxes[row])
        corners = points_to_crop(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), meta)
        a, b, _, d, e, _ = meta.to_original
        return Annotations(
            boxes=torch.cat([corners.amin(0), corners.amax(0)])[None],
            labels=torch.tensor([label]),
            masks=None,
            keypoints=keypoints[None] if posed and "keypoints" in self.needs else None,
            is_crowd=torch.zeros(1, dtype=torch.bool),
            areas=torch.tensor([self.packed.areas[row] / abs(a * e - b * d)], dtype=torch.float32),
            ids=torch.from_numpy(self.packed.ids[row : row + 1].copy()),
            has=frozenset({"boxes", "keypoints"} if posed else {"boxes"}) & self.needs,
            annotated=self.packed.annotated(image),
        )

    def _points(self, row: int) -> Float32[ndarray, "K 3"]:
        points: ndarray[Any, Any] = self.packed.points(slice(row, row + 1))[0]
        return points


def _clean_boxes(packed: PackedAnnotations, crop: CropRule) -> Float32[ndarray, "M 4"]:
    """Clip boxes to pixel centres of their image: x1 <= W - 1, sizes less one pixel (ViTPose's rule).

    TokenPose counts the last pixel as inside, so its boxes end one further.
    """
    image = np.repeat(np.arange(len(packed)), np.diff(packed.first))
    last = packed.sizes[image][:, ::-1] - 1
    low = packed.boxes[:, :2].clip(0)
    size = (packed.boxes[:, 2:] - packed.boxes[:, :2] - 1).clip(0)
    high = np.minimum(last, low + size) + (crop == "centred")
    return np.concatenate([low, high], 1).astype(np.float32)


def _usable(packed: PackedAnnotations, boxes: Float32[ndarray, "M 4"], taught: bool) -> Bool[ndarray, " M"]:
    with_schema = np.isin(packed.labels, packed.categories.keypoint_labels)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return np.asarray(with_schema & (taught | (packed.keypoint_rows >= 0)) & ~packed.crowd & inside)
