"""COCO's panoptic format: a PNG of each image's segments, and a JSON that says what they are.

segment of a pixel = R + 256 G + 65536 B; 0: nobody knows
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import NO_SEGMENT, UNKNOWN_SEGMENT, TrueSegments
from mtvit_core.structures.categories import Categories
from mtvit_train.data.formats.documents.document import load_json
from mtvit_train.data.formats.fields import Entry, entries, number_id, text
from mtvit_train.data.segment_files import SegmentFiles


@dataclass(frozen=True, eq=False)
class ListedImage:
    """The segments of one image as the JSON lists them.

    Attributes:
        file: The PNG, below the folder.
        segments: Id, category id and whether it is a crowd, of each segment.
    """

    file: str
    segments: Int64[ndarray, "M 3"]


@dataclass(frozen=True)
class PanopticFile(SegmentFiles):
    """The panoptic annotations of one split; the JSON is read when they are first asked for.

    Attributes:
        path: The JSON.
        folder: Where the PNGs lie.
        images: Id of each image by its file name.
        own: Categories of the data set's objects; names of the JSON must agree with theirs.
    """

    path: Path
    folder: Path
    images: Mapping[str, int]
    own: Categories

    @cached_property
    def names(self) -> dict[int, str]:
        """Name of each category by its id."""
        found: dict[int, str] = {}
        for place, entry in entries(self._document, "categories", f"{self.path}"):
            where = f"{self.path}: entry {place} of 'categories'"
            id_, name = number_id(entry, "id", where), text(entry, "name", where)
            label = self.own.label_of_id.get(id_)
            if label is not None and self.own[label].name != name:
                raise DataError(
                    f"{self.path}: category {id_} is {name!r} here and {self.own[label].name!r} in the other "
                    "annotation files; make them equal."
                )
            found[id_] = name
        return found

    @cached_property
    def listed(self) -> dict[int, ListedImage]:
        """What is said of each image, by its id."""
        found: dict[int, ListedImage] = {}
        for place, entry in entries(self._document, "annotations", f"{self.path}"):
            where = f"{self.path}: entry {place} of 'annotations'"
            image_id = number_id(entry, "image_id", where)
            if image_id in found:
                raise DataError(f"{self.path}: image {image_id} is annotated more than once; keep one entry.")
            where = f"{self.path}: image {image_id}"
            rows = [self._segment(one, where) for _, one in entries(entry, "segments_info", where)]
            segments = np.array(rows, np.int64).reshape(-1, 3)
            if len(set(segments[:, 0].tolist())) < len(segments):
                raise DataError(f"{where}: a segment id is listed more than once; ids must be unique.")
            found[image_id] = ListedImage(text(entry, "file_name", where), segments)
        return found

    @cached_property
    def _document(self) -> Entry:
        document = load_json(self.path)
        if not isinstance(document, dict):
            raise DataError(f"{self.path}: holds a {type(document).__name__}; a COCO file holds one object.")
        return document

    def _segment(self, entry: Entry, where: str) -> tuple[int, int, int]:
        number, category = number_id(entry, "id", where), number_id(entry, "category_id", where)
        if category not in self.names:
            raise DataError(
                f"{where}: segment {number} has category {category}, which 'categories' does not list; add "
                "or correct it."
            )
        if number < 1:
            raise DataError(f"{where}: a segment has id {number}; ids are from 1, 0 is for unknown pixels.")
        return number, category, int(bool(entry.get("iscrowd", 0)))

    def check(self, file_names: Sequence[str]) -> None:
        """Read the JSON, and look for the PNGs; see ``SegmentFiles.check``."""
        listed = self.listed if self.names else {}
        self.__dict__.pop("_document", None)  # what is needed of it is kept
        wanted = [listed[id_].file for name in file_names if (id_ := self.images[name]) in listed]
        missing = [file for file in wanted if not (self.folder / file).is_file()]
        if missing:
            raise DataError(
                f"{self.folder / missing[0]}: no such file, though {self.path.name} names it ({len(missing)} "
                f"of {len(wanted)} are missing); add the files, or name their folder with "
                "coco.panoptic_maps."
            )

    def read(self, file_name: str, size: tuple[int, int], categories: Categories) -> TrueSegments:
        """Return the segments of one image; see ``SegmentFiles.read``."""
        entry = self.listed.get(self.images[file_name])
        if entry is None:
            nothing = torch.zeros(len(categories), dtype=torch.bool)
            none = torch.zeros(0, dtype=torch.int64)
            return TrueSegments(torch.full(size, UNKNOWN_SEGMENT), none, none.bool(), nothing)
        label_of = self._labels(categories)
        ids, place = np.unique(self._pixels(entry.file, size), return_inverse=True)
        self._check_ids(entry, ids)
        kept = [row for row in entry.segments.tolist() if row[1] in label_of]
        value = {0: UNKNOWN_SEGMENT, **{id_: number for number, (id_, _, _) in enumerate(kept, start=1)}}
        values = torch.tensor([value.get(id_, NO_SEGMENT) for id_ in ids.tolist()])
        known = torch.zeros(len(categories), dtype=torch.bool)
        known[list(label_of.values())] = True
        return TrueSegments(
            ids=values[torch.from_numpy(place.reshape(size))],
            labels=torch.tensor([label_of[category] for _, category, _ in kept], dtype=torch.int64),
            is_crowd=torch.tensor([crowd for _, _, crowd in kept], dtype=torch.bool),
            known=known,
        )

    def _labels(self, categories: Categories) -> dict[int, int]:
        """Label of each category id of the JSON whose name is known: ids may have changed in a merge."""
        label_of = {category.name: label for label, category in enumerate(categories)}
        return {id_: label_of[name] for id_, name in self.names.items() if name in label_of}

    def _pixels(self, file: str, size: tuple[int, int]) -> Int64[ndarray, "H W"]:
        path = self.folder / file
        try:
            with Image.open(path) as picture:
                mode, colours = picture.mode, np.asarray(picture)
        except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as cause:
            raise DataError(
                f"{path}: not a readable image ({cause}); write segments as an RGB PNG."
            ) from None
        if mode != "RGB":
            raise DataError(f"{path}: its pixels are {mode!r}; segments are an RGB PNG of 8 bits.")
        if colours.shape[:2] != size:
            raise DataError(
                f"{path}: the segments have {colours.shape[1]} x {colours.shape[0]} pixels, their image "
                f"{size[1]} x {size[0]}; make them equal."
            )
        return np.asarray(colours.astype(np.int64) @ np.array([1, 256, 65536]))

    def _check_ids(self, entry: ListedImage, ids: Int64[ndarray, " ids"]) -> None:
        """Refuse segments that are drawn or listed, but not both."""
        drawn, listed = {*ids.tolist()} - {0}, {*entry.segments[:, 0].tolist()}
        for odd, where in ((drawn - listed, "in the pixels only"), (listed - drawn, "in the list only")):
            if odd:
                raise DataError(
                    f"{self.folder / entry.file}: segment {min(odd)} is {where}; {self.path.name} and the "
                    "PNG must hold the same segments."
                )


def find_panoptic(
    path: Path, folder: Path, images: Mapping[str, int], own: Categories
) -> PanopticFile | None:
    """Return the panoptic annotations of a split; None where there is no such file."""
    return PanopticFile(path, folder, images, own) if path.is_file() else None
