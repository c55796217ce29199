"""Folders of images and of dense labels beside each other, named alike; no annotation file."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mtvit_core import Categories, DataError, LabelledSplit, MapFolder, Reader, TaskConfig
from mtvit_dense.readers.image_list import as_categories, images_in


class MapTable(BaseModel):
    """``[readers.folders.maps.<label>]``, see ``mtvit_core.MapFolder``.

    Attributes:
        folder: Where the files lie below the data folder; ``{split}`` becomes ``train`` or ``val``.
        kind: What the files say.
        scale: Of numbers: label per step of the grey value.
        classes: Names of the classes.
        ids: Id of each class; 0, 1, 2, ... where empty.
        ignore: Ids of pixels without a label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    kind: Literal["numbers", "classes", "directions"]
    scale: float = Field(1.0, gt=0)
    classes: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()


class FoldersConfig(TaskConfig):
    """``[readers.folders]``.

    Attributes:
        images: Where the images lie below the data folder; ``{split}`` becomes ``train`` or ``val``.
        maps: The dense labels, by name.
    """

    images: str = "images/{split}"
    maps: dict[str, MapTable] = Field(default_factory=dict)


class Folders(Reader[FoldersConfig]):
    """Reads images and any dense labels."""

    name: ClassVar[str] = "folders"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = FoldersConfig

    def categories(self, root: Path) -> Categories:
        """Return the classes of ``semantic``, or else of the first label that has some."""
        maps = self.config.maps
        first = [maps[name].classes for name in sorted(maps, key=lambda name: name != "semantic")]
        return as_categories(next((classes for classes in first if classes), ()))

    def split(self, root: Path, split: Literal["train", "val"]) -> LabelledSplit:
        """Return every image of the split's folder.

        Raises:
            DataError: no label is named, or a folder is missing.
        """
        if not self.config.maps:
            raise DataError(
                f"{root}: no dense label is named; give [readers.folders.maps.<label>] with folder and kind."
            )
        folder = root / self.config.images.replace("{split}", split)
        maps = {
            name: MapFolder(
                root / table.folder.replace("{split}", split),
                table.scale,
                table.classes,
                table.ids,
                table.ignore,
                table.kind,
            )
            for name, table in self.config.maps.items()
        }
        return LabelledSplit(folder, images_in(folder), maps)
