"""One image of a COCO evaluation: what is annotated in it and what was found, packed."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

from mtvit_core.evaluation.coco_entries import Entry


@dataclass(frozen=True)
class CocoImage:
    """Annotations and results of one image; they are packed, which takes a fifth of the memory.

    Attributes:
        file_name: Name of the image file.
        height: Rows.
        width: Columns.
    """

    file_name: str
    height: int
    width: int
    _annotations: bytes
    _results: bytes

    @classmethod
    def pack(
        cls,
        file_name: str,
        height: int,
        width: int,
        annotations: Sequence[Entry],
        results: Sequence[Entry],
    ) -> "CocoImage":
        """Pack the entries of an image: numbers, texts, and lists of them."""
        return cls(file_name, height, width, pickle.dumps(annotations), pickle.dumps(results))

    @property
    def annotations(self) -> list[Entry]:
        """Annotations, newly unpacked."""
        entries: list[Entry] = pickle.loads(self._annotations)
        return entries

    @property
    def results(self) -> list[Entry]:
        """Results, newly unpacked."""
        entries: list[Entry] = pickle.loads(self._results)
        return entries

    def is_same(self, other: "CocoImage") -> bool:
        """Tell whether both are the same image, whatever was found in it."""
        return (self.file_name, self.height, self.width) == (other.file_name, other.height, other.width)
