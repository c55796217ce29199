"""A COCO data set about to be written: documents of boxes and masks, of keypoints, and image files."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtvit_core.errors import ConfigError
from mtvit_core.files import whole_folder

Entry = dict[str, Any]


@dataclass
class CocoSplit:
    """One split of it.

    Attributes:
        name: What its files are called by.
        categories: Entries, with their keypoints.
        images: Entries of images.
        annotations: Entries, with keypoints where an object has some.
        files: Where each image file lies, by its name in the split.
    """

    name: str
    categories: Sequence[Entry]
    images: list[Entry] = field(default_factory=list)
    annotations: list[Entry] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    def boxes(self) -> Entry:
        """Return the document of boxes and masks."""
        points = ("keypoints", "skeleton", "sigmas", "flip_pairs", "num_keypoints")
        return self._document(
            [_without(entry, points) for entry in self.categories],
            [_without(entry, points) for entry in self.annotations],
        )

    def poses(self) -> Entry:
        """Return the document of keypoints: categories that have some, and their objects."""
        categories = [entry for entry in self.categories if "keypoints" in entry]
        ids = {entry["id"] for entry in categories}
        return self._document(
            categories,
            [one for one in self.annotations if one["category_id"] in ids and "keypoints" in one],
        )

    def _document(self, categories: Sequence[Entry], annotations: Sequence[Entry]) -> Entry:
        return {
            "info": {"description": "written by mtvit-train convert-data"},
            "licenses": [],
            "images": self.images,
            "annotations": annotations,
            "categories": categories,
        }


def _without(entry: Entry, keys: Sequence[str]) -> Entry:
    return {key: value for key, value in entry.items() if key not in keys}


def ids_from_one(categories: Sequence[Entry]) -> dict[int, int]:
    """Return the id to write for each id of a category: one higher where there is a 0, which tools refuse."""
    ids = [int(entry["id"]) for entry in categories]
    shift = 1 if 0 in ids else 0
    return {number: number + shift for number in ids}


def write_coco(out: Path, splits: Mapping[str, CocoSplit], images: str) -> None:
    """Write a data set, whole or not at all.

    Args:
        out: The folder, which must not be there.
        splits: Splits by what their annotation files are called.
        images: Folder of the images of a split, ``{split}`` stands for its name; empty to write none.

    Raises:
        ConfigError: the folder is there, or cannot be written.
    """
    if out.exists():
        raise ConfigError(f"out {out}: is there already; give a new folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as folder:
            (folder / "annotations").mkdir()
            for name, split in splits.items():
                _write(folder / "annotations" / f"instances_{name}.json", split.boxes())
                if any("keypoints" in entry for entry in split.categories):
                    _write(folder / "annotations" / f"person_keypoints_{name}.json", split.poses())
                if images:
                    _copy(split.files, folder / images.replace("{split}", name))
    except OSError as error:
        raise ConfigError(
            f"out {out}: cannot be written: {error}; nothing is left of the attempt."
        ) from error


def _write(path: Path, document: Entry) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")


def _copy(files: Mapping[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
