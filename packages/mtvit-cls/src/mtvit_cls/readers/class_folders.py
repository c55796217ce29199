"""A folder per class, in a folder per split or without splits; as torchvision's ``ImageFolder`` reads them.

train/cat/1.jpg  train/dog/2.jpg  val/cat/3.jpg   or   cat/1.jpg  dog/2.jpg
"""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from mtvit_cls.readers.splitting import share_of
from mtvit_core import Categories, Category, LabelledImage, LabelledSplit, Reader
from mtvit_core.errors import DataError, did_you_mean
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.image_files import IMAGE_SUFFIXES, upright_size
from mtvit_core.tasks.task import TaskConfig

#: Other names that tools give the validation split.
_VAL_NAMES = ("val", "valid", "validation", "test")


class ClassFoldersConfig(TaskConfig):
    """``[readers.class_folders]``.

    Attributes:
        train: Folder of the training split.
        val: Folder of the validation split; by default the first of val, valid, validation and test that is
            there.
        val_share: Share of each class that is for validation, where there is no such folder.
        val_seed: Number of that choice.
    """

    train: str = "train"
    val: str = ""
    val_share: float = Field(0.2, gt=0, lt=1)
    val_seed: int = 0


class ClassFolders(Reader[ClassFoldersConfig]):
    """Reads such folders; hidden folders and files are left out."""

    name: ClassVar[str] = "class_folders"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = ClassFoldersConfig

    def categories(self, root: Path) -> Categories:
        """Return the folders of the training split in the order of their names, numbered from 1."""
        folder = self._folders(root)["train"]
        names = [path.name for path in _visible(folder) if path.is_dir() and any(_images(path))]
        if not names:
            raise DataError(f"{folder}: holds no folder with images; give one folder for each class.")
        classes = tuple(Category(number, name) for number, name in enumerate(names, start=1))
        return Categories(classes, classes)

    def split(self, root: Path, split: SplitName) -> LabelledSplit:
        """Return the images of one split with the class of their folder."""
        folders, ids = self._folders(root), {c.name: c.id for c in self.categories(root)}
        folder = folders[split]
        class_of: dict[str, str] = {}
        for path in _visible(folder):
            images = list(_images(path)) if path.is_dir() else []
            if images and path.name not in ids:
                raise DataError(
                    f"{path}: no class of this name is in {folders['train']}; correct the name, or remove "
                    f"the folder.{did_you_mean(path.name, ids)}"
                )
            class_of |= {str(image.relative_to(folder)): path.name for image in images}
        names = list(class_of)
        if folders["train"] == folders["val"]:
            names = share_of(names, class_of, split, self.config.val_share, self.config.val_seed)
        images_ = [_labelled(folder, name, n, ids[class_of[name]]) for n, name in enumerate(names, start=1)]
        return LabelledSplit(folder, images_)

    def _folders(self, root: Path) -> dict[SplitName, Path]:
        """Folder of each split; the same for both where images are to be shared out."""
        if not root.is_dir():
            raise DataError(f"{root}: no such data folder; check the path.")
        if self.config.val and not (root / self.config.val).is_dir():
            raise DataError(f"{root / self.config.val}: no such folder; correct readers.class_folders.val.")
        train = root / self.config.train
        if not train.is_dir():
            return {"train": root, "val": root}
        named = (self.config.val,) if self.config.val else _VAL_NAMES
        val = next((root / name for name in named if (root / name).is_dir()), train)
        return {"train": train, "val": val}


def _labelled(folder: Path, name: str, number: int, class_id: int) -> LabelledImage:
    rows, columns = upright_size(folder / name)
    return LabelledImage(name, number, rows, columns, (), frozenset(), (class_id,))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    """Image files at any depth, in the order of their paths."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
