"""A document in COCO's form, out of a file or made of the files of another tool."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtvit_core.errors import DataError


@dataclass(frozen=True)
class Document:
    """What an annotation file holds, not yet checked.

    Attributes:
        path: What messages name as its place.
        content: The JSON value.
        places: Where an annotation is written, by its id; path and id where it is not listed.
        loose_names: Whether names of images may lack their folders, or have others: those are found by their
            last part.
        notes: What was read otherwise than it is written, a line each.
    """

    path: Path
    content: Any
    places: Mapping[int, str] = field(default_factory=dict)
    loose_names: bool = False
    notes: tuple[str, ...] = ()

    def place_of(self, annotation: int) -> str:
        """Say where an annotation is written."""
        return self.places.get(annotation, f"{self.path}: annotation {annotation}")


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: It is not UTF-8 or not JSON; the message gives line and column.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: malformed JSON in line {error.lineno}, column {error.colno}: {error.msg}; "
            f"write the file again or restore it."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 JSON.") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: malformed JSON: {error}; write the file again or restore it.") from None
