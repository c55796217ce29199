"""Classes of images in CSV files: the first column names the image, the others say what it shows.

One column of names, or one of 0 and 1 for each class:

    image,label        image,cat,dog
    1.jpg,cat          1.jpg,1,0
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from mtvit_cls.readers.splitting import share_of
from mtvit_core import Categories, Category, LabelledImage, LabelledSplit, Reader
from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.image_files import upright_size
from mtvit_core.tasks.task import TaskConfig

#: Files that are looked for where settings name none; the first is Roboflow's multi-label export.
_FILES = ("{split}/_classes.csv", "{split}.csv", "{split}/labels.csv", "labels.csv")
_VAL_NAMES = ("val", "valid", "validation", "test")


class CsvLabelsConfig(TaskConfig):
    """``[readers.csv_labels]``.

    Attributes:
        file: The file, below the data folder; ``{split}`` stands for the split. Where both splits have the
            same file, a share of its images is for validation. By default ``{split}/_classes.csv``,
            ``{split}.csv``, ``{split}/labels.csv`` or ``labels.csv``, whichever is there.
        images: Folder that the names of images start from, below the data folder; by default that of the
            file.
        suffix: Ending that the file leaves out of names, such as ``.jpg``.
        label: Column of class names, where there are other columns as well; by default all but the first.
        separator: What stands between several classes of one image, such as ``;``; empty: a name is one
            class.
        train: What ``{split}`` is for training.
        val: What it is for validation; by default the first of val, valid, validation and test for which
            there is a file.
        val_share: Share of the images that is for validation, where both splits have the same file.
        val_seed: Number of that choice.
    """

    file: str = ""
    images: str | None = None
    suffix: str = ""
    label: str = ""
    separator: str = ""
    train: str = "train"
    val: str = ""
    val_share: float = Field(0.2, gt=0, lt=1)
    val_seed: int = 0


@dataclass(frozen=True)
class LabelTable:
    """A file that has been read.

    Attributes:
        path: The file.
        classes: Names of its classes, in the order of their columns or of the alphabet.
        shown: Classes of each image, by its name.
    """

    path: Path
    classes: tuple[str, ...]
    shown: dict[str, tuple[str, ...]]


class CsvLabels(Reader[CsvLabelsConfig]):
    """Reads such files."""

    name: ClassVar[str] = "csv_labels"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = CsvLabelsConfig

    def categories(self, root: Path) -> Categories:
        """Return the classes of the training file, numbered from 1."""
        table = read_table(self._path(root, "train"), self.config)
        if not table.classes:
            raise DataError(f"{table.path}: names no class; give each image one in a second column.")
        classes = tuple(Category(number, name) for number, name in enumerate(table.classes, start=1))
        return Categories(classes, classes)

    def split(self, root: Path, split: SplitName) -> LabelledSplit:
        """Return the images of one split with their classes."""
        paths = {name: self._path(root, name) for name in ("train", "val")}
        table, ids = read_table(paths[split], self.config), {c.name: c.id for c in self.categories(root)}
        strange = [name for name in table.classes if name not in ids]
        if strange:
            raise DataError(
                f"{table.path}: class {strange[0]!r} is not in {paths['train'].name}; correct it."
                f"{did_you_mean(strange[0], ids)}"
            )
        names = list(table.shown)
        if paths["train"] == paths["val"]:
            names = share_of(names, table.shown, split, self.config.val_share, self.config.val_seed)
        folder = table.path.parent if self.config.images is None else root / self.config.images
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; correct readers.csv_labels.images.")
        images = list(self._labelled(folder, names, table, ids))
        return LabelledSplit(folder, images)

    def _labelled(
        self, folder: Path, names: Sequence[str], table: LabelTable, ids: dict[str, int]
    ) -> Iterator[LabelledImage]:
        for number, name in enumerate(names, start=1):
            file = name + self.config.suffix
            if not (folder / file).is_file():
                raise DataError(
                    f"{table.path}: names {file!r}, but there is no such file in {folder}; name the folder "
                    "with readers.csv_labels.images, and an ending that is left out with .suffix."
                )
            shown = tuple(ids[one] for one in table.shown[name])
            yield LabelledImage(file, number, *upright_size(folder / file), (), frozenset(), shown)

    def _path(self, root: Path, split: SplitName) -> Path:
        """Return the file of a split.

        Raises:
            DataError: there is none.
        """
        config = self.config
        words = (config.train,) if split == "train" else (config.val,) if config.val else _VAL_NAMES
        patterns = (config.file,) if config.file else _FILES
        tried = [root / p.replace("{split}", word) for p in patterns for word in words]
        found = next((path for path in tried if path.is_file()), None)
        if found is None and split == "val" and not config.val:
            return self._path(root, "train")
        if found is None:
            names = ", ".join(dict.fromkeys(str(path.relative_to(root)) for path in tried))
            raise DataError(f"{root}: has no {names}; name the file with readers.csv_labels.file.")
        return found


def read_table(path: Path, config: CsvLabelsConfig) -> LabelTable:
    """Read one file.

    Raises:
        DataError: it is empty or not UTF-8, a line has too few columns, or an image is named twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{path}: cannot be read as CSV ({cause}); save it as UTF-8.") from None
    if len(lines) < 2 or len(lines[0]) < 2:
        raise DataError(f"{path}: needs a line of column names, with the image first, and a line per image.")
    head, rows = lines[0], lines[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise DataError(f"{path}, line {number}: has {len(row)} columns, the first line {len(head)}.")
    if config.label and config.label not in head[1:]:
        raise DataError(
            f"{path}: has no column {config.label!r}; correct readers.csv_labels.label."
            f"{did_you_mean(config.label, head[1:])}"
        )
    return _by_flags(path, head, rows) if _are_flags(rows, config) else _by_names(path, head, rows, config)


def _are_flags(rows: Sequence[Sequence[str]], config: CsvLabelsConfig) -> bool:
    several = len(rows[0]) > 2 and not config.label
    return several and all(cell in ("0", "1") for row in rows for cell in row[1:])


def _by_flags(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> LabelTable:
    shown = {
        row[0]: tuple(name for name, cell in zip(head[1:], row[1:], strict=True) if cell == "1")
        for row in rows
    }
    _check_once(path, rows, shown)
    return LabelTable(path, tuple(head[1:]), shown)


def _by_names(
    path: Path, head: Sequence[str], rows: Sequence[Sequence[str]], config: CsvLabelsConfig
) -> LabelTable:
    if len(head) > 2 and not config.label:
        raise DataError(
            f"{path}: has the columns {', '.join(head)}, and not only 0 and 1 after the first; name the one "
            "of the classes with readers.csv_labels.label."
        )
    column = list(head).index(config.label) if config.label else 1
    shown = {row[0]: _names(row[column], config.separator) for row in rows}
    _check_once(path, rows, shown)
    return LabelTable(path, tuple(sorted({name for names in shown.values() for name in names})), shown)


def _names(cell: str, separator: str) -> tuple[str, ...]:
    parts = cell.split(separator) if separator else [cell]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _check_once(path: Path, rows: Sequence[Sequence[str]], shown: dict[str, tuple[str, ...]]) -> None:
    if len(shown) == len(rows):
        return
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if row[0] in seen:
            raise DataError(
                f"{path}, line {number}: image {row[0]!r} is named before; give it one line, with several "
                "classes joined by readers.csv_labels.separator."
            )
        seen.add(row[0])
