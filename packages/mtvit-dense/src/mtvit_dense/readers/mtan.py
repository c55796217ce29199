"""Cityscapes and NYUv2 as MTAN (Liu et al. 2019) and LibMTL preprocess them: folders of numbered arrays.

    {train,val}/image/0.npy     rows x columns x 3, floats from 0 to 1
    {train,val}/label/0.npy     rows x columns, -1: not labelled; of Cityscapes also label_7 and label_19
    {train,val}/depth/0.npy     rows x columns x 1, 0: not measured; inverse depth of Cityscapes
    {train,val}/normal/0.npy    rows x columns x 3, NYUv2 only; length 0: not known

Images are rounded to 8 bits when read.
"""

from pathlib import Path
from typing import ClassVar, Literal

from mtvit_core import Categories, DataError, LabelledSplit, MapFolder, Reader, TaskConfig
from mtvit_dense.readers.image_list import as_categories, images_in

#: Seven groups of Cityscapes, in the order of their numbers.
CITYSCAPES_7 = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
#: The classes that Cityscapes is evaluated on, by train id.
CITYSCAPES_19 = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
#: The 13 classes of NYUv2 (Couprie et al. 2013).
NYUV2_13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv",
    "wall", "window",
)  # fmt: skip
CLASSES = {"cityscapes7": CITYSCAPES_7, "cityscapes19": CITYSCAPES_19, "nyuv2": NYUV2_13}
#: Where labels of each data set may lie, best first.
_LABELS = {
    "cityscapes7": ("label_7", "label"),
    "cityscapes19": ("label_19", "label"),
    "nyuv2": ("label",),
}


class MtanConfig(TaskConfig):
    """``[readers.mtan]``.

    Attributes:
        dataset: Which classes the labels are: ``cityscapes7``, ``cityscapes19`` or ``nyuv2``; ``auto``:
            NYUv2 where there are normals, else the seven of Cityscapes.
    """

    dataset: Literal["auto", "cityscapes7", "cityscapes19", "nyuv2"] = "auto"


class Mtan(Reader[MtanConfig]):
    """Reads ``semantic``, ``depth`` and ``normals``."""

    name: ClassVar[str] = "mtan"
    api: ClassVar[int] = 1
    Config: ClassVar[type[TaskConfig]] = MtanConfig

    def categories(self, root: Path) -> Categories:
        """Return the classes of pixels; there are no objects."""
        return as_categories(CLASSES[self._dataset(root)])

    def split(self, root: Path, split: Literal["train", "val"]) -> LabelledSplit:
        """Return the images in the order of their numbers.

        Raises:
            DataError: there are no images, or one has no number.
        """
        folder = root / split
        names = [path.name for path in (folder / "image").glob("*.npy")]
        odd = sorted(name for name in names if not Path(name).stem.isdigit())
        if odd or not names:
            found = f"it holds {odd[0]}" if odd else "it holds none"
            raise DataError(f"{folder / 'image'}: the images should be 0.npy, 1.npy and so on, but {found}.")
        images = images_in(folder / "image", sorted(names, key=lambda name: int(Path(name).stem)))
        return LabelledSplit(folder / "image", images, self._maps(root, folder))

    def _maps(self, root: Path, folder: Path) -> dict[str, MapFolder]:
        dataset = self._dataset(root)
        labels = next((folder / n for n in _LABELS[dataset] if (folder / n).is_dir()), folder / "label")
        found = {
            "semantic": MapFolder(labels, classes=CLASSES[dataset], ignore=(-1, 255), kind="classes"),
            "depth": MapFolder(folder / "depth"),
            "normals": MapFolder(folder / "normal", kind="directions"),
        }
        return {name: source for name, source in found.items() if source.folder.is_dir()}

    def _dataset(self, root: Path) -> str:
        if self.config.dataset != "auto":
            return self.config.dataset
        return "nyuv2" if (root / "train" / "normal").is_dir() else "cityscapes7"
