"""Samples for the model: one image on its canvas with its annotations."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from mtvit_core.errors import DataError
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.annotations import IMAGE_LABELS, Annotations, TrueImageLabels
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import Framing, ImageMeta
from mtvit_core.structures.image_files import MAX_PIXELS, read_image
from mtvit_train.data.packed import ALL_KINDS, Key, PackedAnnotations
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig, draw_placement
from mtvit_train.data.samples.colour import jitter_colour
from mtvit_train.data.samples.pairs.mixing import draw_mix, mix_images, mix_labels
from mtvit_train.data.samples.pairs.pasting import MASKS, Donors, paste
from mtvit_train.data.samples.placed_annotations import may_flip, place_annotations
from mtvit_train.data.samples.placement import Placement
from mtvit_train.data.samples.plugin_transforms import change

# Keeps the streams of random numbers for augmentation apart from those for the order.
_AUGMENT_STREAM = 2
# Keeps them apart for mixing two images and for pasting too.
_MIX_STREAM = 8
_PASTE_STREAM = 9


@dataclass(frozen=True)
class Sample:
    """One image of a batch.

    Attributes:
        image: The canvas, RGB, 0 to 255.
        annotations: What is annotated, in canvas pixels.
        meta: The way back to the original image.
        known: Context tokens S D at the input of blocks, where they were computed before.
    """

    image: UInt8[Tensor, "3 H W"]
    annotations: Annotations
    meta: ImageMeta
    known: Mapping[int, Float[Tensor, "S D"]] = field(default_factory=dict)


class ImageDataset(Dataset[Sample]):
    """The images of one split, placed on a canvas.

    A sample is a pure function of seed, epoch and index: loader processes and resuming change nothing.
    """

    def __init__(
        self,
        packed: PackedAnnotations,
        canvas: Framing,
        *,
        needs: Set[str] = ALL_KINDS,
        augment: AugmentConfig = NO_AUGMENT,
        seed: int = 0,
        cache_bytes: int = 0,
        max_pixels: int = MAX_PIXELS,
        transforms: Sequence[Transform[Any]] = (),
    ) -> None:
        """Keep what defines the samples.

        Args:
            packed: Images and annotations.
            canvas: What the model sees; without augmentation images are fitted into it. Augmentation needs a
                ``Letterbox``.
            needs: Kinds of label that some task reads; others are left out, which spares decoding masks.
            augment: Random changes.
            seed: Number of the run.
            cache_bytes: Decoded images are kept in memory up to this many bytes, in each loader process.
            max_pixels: Most pixels an image file may have.
            transforms: Further changes, by plugins.
        """
        self.packed, self.canvas, self.needs = packed, canvas, frozenset(needs)
        self.augment, self.seed, self.max_pixels, self.transforms = (
            augment,
            seed,
            max_pixels,
            tuple(transforms),
        )
        mixes = augment.enabled and (augment.mixup or augment.cutmix)
        self.partners = np.flatnonzero(packed.mapped(IMAGE_LABELS)) if mixes else np.zeros(0, np.int64)
        pastes = augment.enabled and augment.paste > 0
        self.donors = Donors.among(packed, augment, self.needs) if pastes else None
        self._read = self.needs | {MASKS} if pastes else self.needs
        self.cache_bytes, self._cached_bytes = cache_bytes, 0
        self._cache: dict[int, UInt8[Tensor, "3 H W"]] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.packed)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of images of each data set."""
        return self.packed.sizes_of_members

    def __getitem__(self, key: Key) -> Sample:
        """Load one sample.

        Args:
            key: Epoch, and index of the image.

        Raises:
            DataError: The image cannot be read, or is not of the size that the annotations state.
        """
        return self._mixed(key, self._with_pasted(self._alone))

    def unseen(self, key: Key) -> Sample:
        """Return the same sample with a black canvas, without reading the image or asking transforms."""
        return self._mixed(key, self._with_pasted(self._blank))

    def _mixed(self, key: Key, load: Callable[[Key], Sample]) -> Sample:
        """Mix a sample with that of another image, where that is asked for."""
        epoch, index = key
        sample = load(key)
        if not len(self.partners) or sample.annotations.image_labels is None:
            return sample
        rng = np.random.default_rng([_MIX_STREAM, self.seed, epoch, index])
        rows, columns = sample.image.shape[1:]
        mix = draw_mix(rng, self.augment, (rows, columns), len(self.partners))
        if mix is None:
            return sample
        other = load((epoch, int(self.partners[mix.partner])))
        image = mix_images(sample.image, other.image, mix)
        return Sample(image, mix_labels(sample.annotations, other.annotations, mix), sample.meta)

    def _with_pasted(self, load: Callable[[Key], Sample]) -> Callable[[Key], Sample]:
        """Return what loads a sample with an object of another image, where that is asked for."""
        donors = self.donors
        if donors is None:
            return load

        def loaded(key: Key) -> Sample:
            epoch, index = key
            sample = load(key)
            rng = np.random.default_rng([_PASTE_STREAM, self.seed, epoch, index])
            drawn = donors.draw(rng, self.augment.paste)
            image, annotations = sample.image, sample.annotations
            if drawn is not None and MASKS in annotations.has:
                other = load((epoch, drawn.source))
                image, annotations = paste(
                    image, annotations, other.image, other.annotations, drawn, donors.labels
                )
            if MASKS not in self.needs:
                annotations = replace(annotations, masks=None, has=annotations.has - {MASKS})
            return Sample(image, annotations, sample.meta)

        return loaded

    def _blank(self, key: Key) -> Sample:
        """Load one sample of one image, without its pixels."""
        record = self.packed.image(key[1])
        _, placement = self._place(key)
        annotations = place_annotations(self.packed, key[1], placement, self._read)
        blank = torch.zeros(3, *placement.canvas, dtype=torch.uint8)
        return Sample(blank, annotations, placement.meta(record.image_id, record.file_name))

    def _alone(self, key: Key) -> Sample:
        """Load one sample of one image."""
        record, image = self.packed.image(key[1]), self.image(key[1])
        rng, placement = self._place(key)
        canvas, annotations = change(
            self.transforms,
            placement.pad(jitter_colour(rng, self.augment, placement.window(image))),
            place_annotations(self.packed, key[1], placement, self._read),
            self.seed,
            key,
        )
        return Sample(canvas, annotations, placement.meta(record.image_id, record.file_name))

    def _place(self, key: Key) -> tuple[np.random.Generator, Placement]:
        """Draw where an image lies; return what draws its colours, too."""
        epoch, index = key
        record = self.packed.image(index)
        rng = np.random.default_rng([_AUGMENT_STREAM, self.seed, epoch, index])
        size, flips = (record.height, record.width), self.may_flip(index)
        return rng, draw_placement(rng, self.augment, size, self.canvas, flips)

    def may_flip(self, index: int) -> bool:
        """Tell whether an image may be mirrored, by the categories in it."""
        labels = torch.from_numpy(self.packed.labels[self.packed.rows(index)].astype(np.int64))
        return may_flip(labels, self.packed.categories)

    def image_of(self, index: int) -> int:
        """Return the place of the image that a sample is of: its own."""
        return index

    def image(self, index: int) -> UInt8[Tensor, "3 H W"]:
        """Load one image at its original size, upright.

        Raises:
            DataError: It cannot be read, or is not of the size that the annotations state.
        """
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        record = self.packed.image(index)
        image = read_image(record.path, self.max_pixels)
        if image.shape[1:] != (record.height, record.width):
            raise DataError(
                f"{record.path}: the upright image has {image.shape[2]} x {image.shape[1]} pixels, but its "
                f"annotations say {record.width} x {record.height}; correct the size of image "
                f"{record.image_id} or annotate the upright image."
            )
        if self._cached_bytes + image.nbytes <= self.cache_bytes:
            self._cached_bytes += image.nbytes
            self._cache[index] = image
        return image

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cached images behind when the data set is sent to another process."""
        return {**self.__dict__, "_cache": {}, "_cached_bytes": 0}


def collate(samples: Sequence[Sample]) -> Batch:
    """Put samples together; all canvases have one size.

    The annotations of a batch share one block of memory a field: loader processes hand each block over as one
    open file, of which a system allows few.
    """
    parts = [sample.annotations for sample in samples]
    fields = zip(
        _joined([part.boxes for part in parts]),
        _joined([part.labels for part in parts]),
        _joined_where([part.masks for part in parts]),
        _joined_where([part.keypoints for part in parts]),
        _joined([part.is_crowd for part in parts]),
        _joined([part.areas for part in parts]),
        _joined([part.ids for part in parts]),
        [part.has for part in parts],
        _joined_maps([part.maps for part in parts]),
        _joined_where([part.annotated for part in parts]),
        [None for _ in parts],  # segments are for evaluation, which is given none of these
        _joined_image_labels([part.image_labels for part in parts]),
        strict=True,
    )
    return Batch(
        images=torch.stack([sample.image for sample in samples]),
        annotations=tuple(Annotations(*row) for row in fields),
        meta=tuple(sample.meta for sample in samples),
        known={depth: torch.stack([sample.known[depth] for sample in samples]) for depth in samples[0].known},
    )


def _joined(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the same tensors as parts of one."""
    whole = torch.cat(list(tensors))
    ends = accumulate(len(tensor) for tensor in tensors)
    return [whole[end - len(tensor) : end] for tensor, end in zip(tensors, ends, strict=True)]


def _joined_maps(parts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Return the same dense labels, each name as parts of one tensor."""
    names = sorted({name for part in parts for name in part})
    columns = {name: _joined_where([part.get(name) for part in parts]) for name in names}
    return [
        {name: values for name in names if (values := columns[name][row]) is not None}
        for row in range(len(parts))
    ]


def _joined_image_labels(parts: Sequence[TrueImageLabels | None]) -> list[TrueImageLabels | None]:
    """Return the same labels of images, each field as parts of one tensor."""
    present = _joined_where([None if part is None else part.present for part in parts])
    known = _joined_where([None if part is None else part.known for part in parts])
    return [
        None if a is None or b is None else TrueImageLabels(a, b) for a, b in zip(present, known, strict=True)
    ]


def _joined_where(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the same tensors as parts of one; None stays None."""
    there = [tensor for tensor in tensors if tensor is not None]
    parts = iter(_joined(there) if there else [])
    return [None if tensor is None else next(parts) for tensor in tensors]
