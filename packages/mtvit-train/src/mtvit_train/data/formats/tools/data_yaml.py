"""Ultralytics' ``data.yaml``: classes, keypoints, and where the images of the splits are."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mtvit_core.errors import DataError
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_train.data.formats.tools.translation import text_of
from mtvit_train.data.formats.tools.yolo_rows import RowForm
from mtvit_train.data.image_folders import images_below
from mtvit_train.data.near_names import near_path

#: Names of the validation split.
_VAL = ("val", "validation", "valid")


@dataclass(frozen=True)
class DataYaml:
    """A file as it is written, checked.

    Attributes:
        path: The file.
        root: Its ``path``; empty where it has none.
        names: Names of the classes by number.
        splits: The values of ``train`` and ``val``, each a list; none where there is no such split.
        points: Names of the keypoints of each class; empty where there are none.
        dims: Numbers of a keypoint.
        flips: What ``flip_idx`` says; None where it is not there.
    """

    path: Path
    root: str
    names: dict[int, str]
    splits: dict[str, tuple[str, ...]]
    points: dict[int, tuple[str, ...]]
    dims: int
    flips: tuple[int, ...] | None

    @property
    def form(self) -> RowForm:
        """What rows of its label files may hold."""
        return RowForm(frozenset(self.names), len(next(iter(self.points.values()), ())), self.dims)

    def categories(self) -> list[dict[str, Any]]:
        """Return the classes as COCO's entries."""
        return [self._category(number, name) for number, name in self.names.items()]

    def _category(self, number: int, name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": number, "name": name}
        if self.points:
            points = self.points[number]
            entry["keypoints"] = list(points)
            if self.flips is not None:
                entry["flip_pairs"] = [[points[i], points[j]] for i, j in enumerate(self.flips) if i < j]
        return entry

    def images(self, split: str) -> list[Path]:
        """List the images of a split.

        Raises:
            DataError: a folder, a list or an image is not there.
        """
        return [path for value in self.splits[split] for path in self._images_of(value)]

    def _images_of(self, value: str) -> list[Path]:
        place = self.find(value)
        if place is None:
            beside = sorted(path.name for path in self.path.parent.iterdir())
            raise DataError(
                f"{self.path}: there is no {value!r}; beside the file are {', '.join(beside[:8])}. Correct "
                f"the path.{near_path(self.path.parent / self.root / value)}"
            )
        if place.is_dir():
            found = images_below(place)
            if not found:
                raise DataError(
                    f"{place}: no image lies here, though {self.path.name} names it; add the images."
                )
            return found
        return [self._listed(line.strip(), place) for line in text_of(place).splitlines() if line.strip()]

    def _listed(self, line: str, place: Path) -> Path:
        found = self.find(line, place.parent)
        if found is None:
            near = near_path(place.parent / line)
            raise DataError(f"{place}: there is no image {line!r}; correct the list, or add the image.{near}")
        return found

    def find(self, value: str, first: Path | None = None) -> Path | None:
        """Return where a path leads: below the root, the file's folder, or the end of it below that folder.

        Files move, so a path of another machine is looked for by its last parts.
        """
        places = (Path(os.path.normpath(path)) for path in self._places(value, first))
        return next((path for path in places if path.exists()), None)

    def _places(self, value: str, first: Path | None) -> Iterator[Path]:
        folder, slashed = self.path.parent, value.replace("\\", "/")
        if first is not None:
            yield first / slashed
        yield from (base / slashed for base in (folder / self.root, Path(self.root), folder))
        parts = [part for part in PurePosixPath(slashed).parts if part not in ("/", "..", ".")]
        yield from (folder.joinpath(*parts[start:]) for start in range(len(parts)))


def read_data_yaml(path: Path) -> DataYaml:
    """Read such a file.

    Raises:
        DataError: it is malformed, or lacks something.
    """
    try:
        content = yaml.safe_load(text_of(path))
    except yaml.YAMLError as error:
        raise DataError(
            f"{path}: malformed YAML: {' '.join(str(error).split())}; correct the file."
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {content!r:.40}; it must be a table with names, train and val.")
    names = _names(content, path)
    points, dims = _points(content, names, path)
    count = len(next(iter(points.values()), ()))
    return DataYaml(
        path=path,
        root=str(content.get("path") or ""),
        names=names,
        splits={"train": _paths(content, ("train",), path), "val": _paths(content, _VAL, path)},
        points=points,
        dims=dims,
        flips=_flips(content, count, path),
    )


def _names(content: dict[Any, Any], path: Path) -> dict[int, str]:
    names, count = content.get("names"), content.get("nc")
    if names is None and type(count) is int and count > 0:
        names = [f"class_{i}" for i in range(count)]
    found = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(found, dict) or not found or not all(type(i) is int and i >= 0 for i in found):
        raise DataError(f"{path}: names is {names!r:.40}; list the classes, or number them from 0.")
    if type(count) is int and count != len(found):
        raise DataError(f"{path}: nc is {count}, but names holds {len(found)}; make them agree.")
    return {number: str(found[number]) for number in sorted(found)}


def _paths(content: dict[Any, Any], keys: Sequence[str], path: Path) -> tuple[str, ...]:
    value = next((content[key] for key in content if str(key).lower() in keys and content[key]), None)
    listed = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, str) for one in listed):
        raise DataError(f"{path}: {keys[0]} is {value!r:.40}; give a path, or a list of paths.")
    return tuple(listed)


def _points(
    content: dict[Any, Any], names: dict[int, str], path: Path
) -> tuple[dict[int, tuple[str, ...]], int]:
    shape = content.get("kpt_shape")
    if shape is None:
        return {}, 3
    if not (
        isinstance(shape, list)
        and [type(n) for n in shape] == [int, int]
        and shape[0] > 0
        and shape[1] in (2, 3)
    ):
        raise DataError(f"{path}: kpt_shape is {shape!r:.40}; give the number of keypoints, and 2 or 3.")
    count, dims = shape
    given = content.get("kpt_names")
    if given is None:
        person = count == len(COCO_PERSON.names) and content.get("flip_idx") == list(COCO_PERSON.flip_order)
        own = COCO_PERSON.names if person else tuple(f"keypoint_{i}" for i in range(1, count + 1))
        return dict.fromkeys(names, own), dims
    by_class = given if isinstance(given, dict) else dict.fromkeys(names, given)
    found: dict[int, tuple[str, ...]] = {}
    for number in names:
        listed = by_class.get(number, by_class.get(names[number]))
        if not (isinstance(listed, list) and len(listed) == len({str(n) for n in listed}) == count):
            raise DataError(
                f"{path}: kpt_names of class {number} is {listed!r:.40}; give {count} names (kpt_shape), "
                "each once."
            )
        found[number] = tuple(map(str, listed))
    return found, dims


def _flips(content: dict[Any, Any], count: int, path: Path) -> tuple[int, ...] | None:
    flips = content.get("flip_idx")
    if flips is None or not count:
        return None
    if not (isinstance(flips, list) and sorted(map(str, flips)) == sorted(map(str, range(count)))):
        raise DataError(
            f"{path}: flip_idx is {flips!r:.40}; it must hold the numbers from 0 to {count - 1}, each once."
        )
    if any(flips[flips[i]] != i for i in range(count)):
        raise DataError(f"{path}: flip_idx {flips!r:.40} does not swap keypoints two by two; correct it.")
    return tuple(flips)
