"""What every pixel belongs to, as files of a data set say it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mtvit_core.structures.annotations import TrueSegments
from mtvit_core.structures.categories import Categories


class SegmentFiles(ABC):
    """The segments of one split of one data set, read image by image: only evaluation asks for them."""

    @abstractmethod
    def check(self, file_names: Sequence[str]) -> None:
        """Read what says which segments there are, and look for the files.

        Args:
            file_names: Of the images.

        Raises:
            DataError: something is missing or malformed.
        """

    @abstractmethod
    def read(self, file_name: str, size: tuple[int, int], categories: Categories) -> TrueSegments:
        """Return the segments of one image; nothing is known of an image that is not listed.

        Args:
            file_name: Of the image.
            size: Its rows and columns.
            categories: Those that labels index; segments of others count as none.

        Raises:
            DataError: something is missing or malformed.
        """
