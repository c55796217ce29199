"""A reader of data sets that are not in COCO's layout: categories, and images with their labels."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxtyping import Float32
from numpy import ndarray

from mtvit_core.plugins.extension import C, Extension
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.masks import Rle


@dataclass(frozen=True)
class LabelledObject:
    """One object, in pixels of the upright original image.

    Attributes:
        category_id: Id of its category.
        box: Corners x0 y0 x1 y1.
        rle: Its visible pixels; None where masks are not labelled.
        keypoints: x, y and COCO visibility; None where keypoints are not labelled, or its category has none.
        is_crowd: Whether it stands for a group.
    """

    category_id: int
    box: tuple[float, float, float, float]
    rle: Rle | None = None
    keypoints: Float32[ndarray, "K 3"] | None = None
    is_crowd: bool = False


#: What a dense label says of a pixel: a number, a class, or a direction.
MapKind = Literal["numbers", "classes", "directions"]


@dataclass(frozen=True)
class MapFolder:
    """A dense label: a file as large as the image for each image that has it, ``.png`` or ``.npy``.

    ========== ============================================ =============================
    kind       PNG                                          not labelled
    ========== ============================================ =============================
    numbers    grey, 8 or 16 bits: scale x grey value       0
    classes    grey or palette: the id of a class           ids in ``ignore``
    directions RGB, 8 bits: x y z = 2 colour / 255 - 1      black, and lengths below 1/2
    ========== ============================================ =============================

    A ``.npy`` file holds the numbers, ids or x y z (last axis, or first) themselves; numbers that are 0 or
    not finite, and directions of length 0, are not labelled.

    Attributes:
        folder: Where the files lie, named as the images.
        scale: Of numbers.
        classes: Names of the classes.
        ids: Id of each class; 0, 1, 2, ... where empty.
        ignore: Ids of pixels without a label.
        kind: What the label says; by default a class where there are names, else a number.
    """

    folder: Path
    scale: float = 1.0
    classes: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()
    kind: MapKind = "numbers"


@dataclass(frozen=True)
class LabelledImage:
    """One image and what is labelled on it.

    Attributes:
        file_name: Path below the folder of the split's images.
        image_id: Number of its own.
        height: Rows of the upright image.
        width: Columns.
        objects: What it shows.
        has: Which of ``LABEL_KINDS`` are labelled, whether or not there is an object.
        image_labels: Ids of the classes of the whole image, of ``Categories.images``; None where it has no
            such label.
    """

    file_name: str
    image_id: int
    height: int
    width: int
    objects: tuple[LabelledObject, ...]
    has: frozenset[str]
    image_labels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LabelledSplit:
    """One split of a data set.

    Attributes:
        folder: Where the images lie.
        images: The images, in a fixed order.
        maps: Dense labels by name.
    """

    folder: Path
    images: Iterable[LabelledImage]
    maps: Mapping[str, MapFolder] = field(default_factory=dict)


class Reader(Extension[C]):
    """Reads data sets of one layout; a run names it by ``reader``."""

    @abstractmethod
    def categories(self, root: Path) -> Categories:
        """Return the classes, the same for both splits.

        Args:
            root: The data folder.

        Raises:
            DataError: the folder does not hold such data.
        """

    @abstractmethod
    def split(self, root: Path, split: SplitName) -> LabelledSplit:
        """Return the images of one split.

        Args:
            root: The data folder.
            split: Which one.

        Raises:
            DataError: a file is missing or malformed.
        """
