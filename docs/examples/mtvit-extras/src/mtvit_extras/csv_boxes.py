"""Boxes in CSV files: ``train.csv`` and ``val.csv`` beside the images, with one line per object.

file,name,x0,y0,x1,y1
street.png,car,10,20,90,60
"""

import csv
from pathlib import Path
from typing import ClassVar, Literal

from PIL import Image

from mtvit_core import (
    Categories,
    Category,
    DataError,
    LabelledImage,
    LabelledObject,
    LabelledSplit,
    Reader,
    TaskConfig,
)

COLUMNS = ["file", "name", "x0", "y0", "x1", "y1"]


class CsvConfig(TaskConfig):
    """``[readers.csv_boxes]``: names of the classes, in the order of their ids from 1."""

    names: tuple[str, ...]


class CsvBoxes(Reader[CsvConfig]):
    """Reads one CSV file per split."""

    name: ClassVar[str] = "csv_boxes"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = CsvConfig

    def categories(self, root: Path) -> Categories:
        """The classes of the settings."""
        return Categories(tuple(Category(id_, name) for id_, name in enumerate(self.config.names, start=1)))

    def split(self, root: Path, split: Literal["train", "val"]) -> LabelledSplit:
        """One image per file that is named; its boxes in the order of the lines."""
        path = root / f"{split}.csv"
        if not path.is_file():
            raise DataError(f"{path}: no such file.")
        objects: dict[str, list[LabelledObject]] = {}
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                if list(row) != COLUMNS or row["name"] not in self.config.names:
                    raise DataError(f"{path}, line {number}: {row} does not fit {','.join(COLUMNS)}.")
                id_ = self.config.names.index(row["name"]) + 1
                box = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"]))
                objects.setdefault(row["file"], []).append(LabelledObject(id_, box))
        images = [self._image(root, *entry) for entry in enumerate(objects.items(), start=1)]
        return LabelledSplit(root, images)

    def _image(self, root: Path, number: int, entry: tuple[str, list[LabelledObject]]) -> LabelledImage:
        name, objects = entry
        with Image.open(root / name) as picture:
            width, height = picture.size
        return LabelledImage(name, number, height, width, tuple(objects), frozenset({"boxes"}))
