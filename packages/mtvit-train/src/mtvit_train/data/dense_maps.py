"""Dense labels: a number, a class or a direction per pixel, in files beside the images.

``mtvit_core.MapFolder`` says what the files hold, ``map_files`` reads them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy import ndarray

from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.plugins.dataset_reader import MapFolder, MapKind
from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.pixel_maps import VOID, CategoryMap, DenseMap, PixelMap
from mtvit_train.data.map_files import directions, numbers, places, read_pixels
from mtvit_train.data.near_names import near_path


@dataclass(frozen=True, eq=False)
class PackedMaps:
    """The dense labels of one name in a split.

    Attributes:
        source: Where the files lie and what they hold.
        there: Which images have a file.
        suffix: Ending of the files.
        order: Names of the classes in the order of their numbers; those of the files unless a model knows
            them in another order.
    """

    source: MapFolder
    there: Bool[ndarray, " I"]
    suffix: str = ".png"
    order: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their numbers; none for numbers and directions."""
        return self.order or self.source.classes

    def fitted(self, known: Sequence[str], where: str) -> "PackedMaps":
        """Return the labels in the numbers of a model.

        Args:
            known: Names of the model's classes in the order of their numbers.
            where: What messages name as the place.

        Raises:
            DataError: a class is none of them.
        """
        unknown = [name for name in self.source.classes if name not in known]
        if unknown:
            raise DataError(
                f"{where}: class {unknown[0]!r} is none of the {len(known)} that the model knows."
                f"{did_you_mean(unknown[0], known)}"
            )
        return replace(self, order=tuple(known)) if self.source.classes else self

    def read(self, file_name: str, size: tuple[int, int]) -> Float32[ndarray, "*planes H W"]:
        """Read the labels of one image, NaN where a pixel is not labelled.

        Args:
            file_name: The image's.
            size: Rows and columns of the image.

        Raises:
            DataError: the file cannot be read, or does not fit its image.
        """
        source = self.source
        path = source.folder / map_name(file_name, self.suffix)
        pixels = read_pixels(path, size, source.kind)
        if source.kind == "directions":
            return directions(pixels)
        if source.kind == "numbers":
            return numbers(pixels, source.scale)
        ids = source.ids or range(len(source.classes))
        place_of = {id_: self.classes.index(name) for id_, name in zip(ids, source.classes, strict=True)}
        return places(pixels, place_of, frozenset(source.ignore), path)

    def as_map(self, name: str, values: Float32[ndarray, "*planes H W"]) -> PixelMap:
        """Return labels as a map that can be drawn like a result.

        Args:
            name: Of the label.
            values: What ``read`` returned.
        """
        if self.source.kind == "classes":
            known = Categories(tuple(Category(n, text) for n, text in enumerate(self.classes)))
            return CategoryMap(torch.from_numpy(np.nan_to_num(values, nan=VOID).astype(np.int64)), known)
        channels = ("x", "y", "z") if self.source.kind == "directions" else (name,)
        return DenseMap(torch.from_numpy(values).view(-1, *values.shape[-2:]), channels)


def map_name(file_name: str, suffix: str = ".png") -> str:
    """Return the file of an image's dense labels, below their folder."""
    return str(Path(file_name).with_suffix(suffix))


def read_maps(root: Path, path: Path, file_names: Sequence[str]) -> dict[str, PackedMaps]:
    """Read which dense labels a split has.

    Args:
        root: The data folder.
        path: The file that lists them; a split without it has none.
        file_names: Of the images.

    Raises:
        DataError: the file is malformed, or a folder that it names is not there.
    """
    if not path.is_file():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["maps"]
        entries = {str(entry["name"]): _source(root, entry) for entry in listed}
    except (ValueError, KeyError, TypeError) as cause:
        raise DataError(
            f'{path}: not a list of dense labels ({cause!r}); write {{"maps": [{{"name": "depth", "folder": '
            '"depth/train2017", "scale": 0.001}]}.'
        ) from None
    return {name: pack_maps(path, name, source, file_names) for name, source in entries.items()}


def _source(root: Path, entry: Mapping[str, Any]) -> MapFolder:
    known = {"name", *(field.name for field in fields(MapFolder))}
    stray = sorted(entry.keys() - known)
    if stray:
        raise ValueError(f"{stray[0]!r} is unknown; allowed are {', '.join(sorted(known))}")
    lists: dict[str, Any] = {key: tuple(entry[key]) for key in ("classes", "ids", "ignore") if key in entry}
    kind = entry.get("kind", "classes" if lists.get("classes") else "numbers")
    if kind not in get_args(MapKind):
        raise ValueError(f"kind {kind!r} is unknown; allowed are {', '.join(get_args(MapKind))}")
    # Numbers without a scale would be a guess.
    scale = float(entry["scale"] if kind == "numbers" else entry.get("scale", 1.0))
    return MapFolder(root / entry["folder"], scale, kind=kind, **lists)


def pack_maps(where: Path | str, name: str, source: MapFolder, file_names: Sequence[str]) -> PackedMaps:
    """Find which images have a dense label.

    Args:
        where: What says so, for messages.
        name: Its name.
        source: Where the files lie and what they hold.
        file_names: Of the images.

    Raises:
        DataError: the name is taken, what is said of the files contradicts itself, or no image has one.
    """
    folder = source.folder
    if name in LABEL_KINDS:
        raise DataError(f"{where}: {name!r} is a label of objects; give the dense label another name.")
    _check_source(where, name, source)
    if not folder.is_dir():
        raise DataError(
            f"{where}: {name!r} should be in {folder}, but there is no such folder; correct it."
            f"{near_path(folder)}"
        )
    for suffix in (".png", ".npy"):
        there = {str(file.relative_to(folder)) for file in folder.rglob(f"*{suffix}")}
        found = np.array([map_name(file_name, suffix) in there for file_name in file_names], bool)
        if found.any():
            return PackedMaps(source, found, suffix)
    raise DataError(
        f"{where}: no image of the split has a label in {folder}; name the files as the images, as in "
        f"{map_name(file_names[0])}."
    )


def _check_source(where: Path | str, name: str, source: MapFolder) -> None:
    here = f"{where}: dense label {name!r}"
    if (source.kind == "classes") != bool(source.classes):
        raise DataError(f"{here}: classes need their names, and only they; list them in classes.")
    twice = sorted({one for one in source.classes if source.classes.count(one) > 1})
    if twice:
        raise DataError(f"{here}: class {twice[0]!r} is listed twice; give each class one name.")
    if source.ids and len(source.ids) != len(source.classes):
        raise DataError(
            f"{here}: there are {len(source.ids)} ids for {len(source.classes)} classes; list one for each."
        )
    both = sorted(set(source.ids or range(len(source.classes))) & set(source.ignore))
    if both:
        raise DataError(f"{here}: id {both[0]} is that of a class, and ignored; leave it out of one of them.")
