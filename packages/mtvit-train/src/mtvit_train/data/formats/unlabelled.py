"""Images without labels, which learn from a teacher's predictions: a folder in any layout."""

from pathlib import Path
from typing import ClassVar

from mtvit_core.errors import DataError
from mtvit_core.plugins.dataset_reader import LabelledImage, LabelledSplit, Reader
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.image_files import upright_size
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.data.image_folders import images_of


class Unlabelled(Reader[TaskConfig]):
    """Reads all images of a folder, at any depth, as training images that no task has a label for."""

    name: ClassVar[str] = "unlabelled"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = TaskConfig

    def categories(self, root: Path) -> Categories:
        """Return one category, which stands for none."""
        return Categories((Category(1, "unlabelled"),))

    def split(self, root: Path, split: SplitName) -> LabelledSplit:
        """Return the images.

        Raises:
            DataError: there is no such folder, it holds no image, or it is to be evaluated.
        """
        if split == "val":
            raise DataError(
                f"{root}: images without labels cannot be evaluated; list the folder in a [[data]] table "
                "with evaluate = false, beside data with labels."
            )
        names = [path.relative_to(root).as_posix() for path in images_of([root])]
        sizes = [upright_size(root / name) for name in names]
        return LabelledSplit(
            root,
            [
                LabelledImage(name, number, *size, (), frozenset())
                for number, (name, size) in enumerate(zip(names, sizes, strict=True), start=1)
            ],
        )
